"""`triptych watch JOB`: follow a job until it has ended."""

from __future__ import annotations

import argparse
import json

from triptych.commands.connect import add_server, connect
from triptych.commands.outcome import as_json, exit_code, follow, sentence


def main(arguments: list[str]) -> int:
    """Follows a job; the exit code says how it ended. A Ctrl-C leaves the job as it is."""
    parser = argparse.ArgumentParser(prog="triptych watch", description="Follow a job until it has ended.")
    parser.add_argument("job", metavar="JOB")
    add_server(parser)
    options = parser.parse_args(arguments)
    with connect(options) as client:
        job = follow(client, options.job, "job")
    print(json.dumps(as_json(job)) if options.json else sentence(job))
    return exit_code(job, failed=job.counts.failed)
