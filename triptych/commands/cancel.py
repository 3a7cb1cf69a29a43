"""`triptych cancel JOB...`: stop jobs."""

from __future__ import annotations

import argparse
import json

from triptych.commands.connect import add_server, connect


def main(arguments: list[str]) -> int:
    """Cancels jobs; one that has ended stays as it is."""
    parser = argparse.ArgumentParser(
        prog="triptych cancel",
        description="Stop jobs. Items that are running may finish; results so far stay.",
    )
    parser.add_argument("jobs", nargs="+", metavar="JOB")
    add_server(parser)
    options = parser.parse_args(arguments)
    with connect(options) as client:
        jobs = [client.cancel_job(job_id) for job_id in options.jobs]
    if options.json:
        print(json.dumps([job.model_dump(mode="json") for job in jobs]))
    else:
        for job in jobs:
            print(f"{job.id}  {job.state}")
    return 0
