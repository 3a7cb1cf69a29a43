"""`triptych fetch JOB -o DIR`: write a job's outputs to a folder."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from triptych.cli import CommandError
from triptych.commands.connect import add_server, connect
from triptych.commands.outcome import KEEP_FOLDERS, as_json, exit_code, sentence
from triptych.progress import Progress


def main(arguments: list[str]) -> int:
    """Fetches outputs, results and report of a job that has ended; what is there already is kept."""
    parser = argparse.ArgumentParser(prog="triptych fetch", description="Write a job's outputs to a folder.")
    parser.add_argument("job", metavar="JOB")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="where results go")
    parser.add_argument("--keep-folders", action="store_true", help=KEEP_FOLDERS)
    add_server(parser)
    options = parser.parse_args(arguments)
    with connect(options) as client:
        job = client.job(options.job)
        if not job.ended:
            raise CommandError(f"{job.id} is {job.state}; `triptych watch {job.id}` waits for its end")
        with Progress("fetch") as progress:
            total = job.counts.total
            fetched = client.fetch(
                job.id,
                options.output,
                keep_folders=options.keep_folders,
                on_progress=lambda done: progress.show(done, total),
            )
    if options.json:
        print(json.dumps(as_json(job, fetched)))
    else:
        print(f"{sentence(job)}\n{fetched.files} files and {fetched.results.name}: {fetched.directory}")
    return exit_code(job, failed=fetched.failed)
