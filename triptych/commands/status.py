"""`triptych status [JOB]`: one job, or the newest ones."""

from __future__ import annotations

import argparse
import json

from triptych.commands.connect import add_server, connect
from triptych.commands.outcome import sentence
from triptych.models import Job
from triptych.progress import duration


def main(arguments: list[str]) -> int:
    """Shows jobs."""
    parser = argparse.ArgumentParser(prog="triptych status", description="Show one job, or the newest ones.")
    parser.add_argument("job", nargs="?", metavar="JOB")
    parser.add_argument("--state", help="only jobs in this state")
    parser.add_argument("--limit", type=int, default=20, metavar="N", help="of the newest ones; default 20")
    add_server(parser)
    options = parser.parse_args(arguments)
    with connect(options) as client:
        if options.job:
            job = client.job(options.job)
            print(json.dumps(job.model_dump(mode="json")) if options.json else _details(job))
            return 0
        jobs = client.jobs(limit=options.limit, state=options.state).jobs
    if options.json:
        print(json.dumps([job.model_dump(mode="json") for job in jobs]))
        return 0
    for job in jobs:
        when = job.created_at.astimezone().strftime("%Y-%m-%d %H:%M")
        what = "+".join(step.operation for step in job.steps)
        counts = job.counts
        progress = f"{counts.done}/{counts.total}"
        print(f"{job.id}  {when}  {what:<12} {_state(job):<12} {progress}  {job.name}".rstrip())
    return 0


def _state(job: Job) -> str:
    return "paused" if job.paused and not job.ended else str(job.state)


def _details(job: Job) -> str:
    lines = [
        job.id,
        sentence(job) if job.ended else f"{_state(job)}: {job.counts.done}/{job.counts.total} done",
    ]
    for step in job.steps:
        params = " ".join(f"{name}={value}" for name, value in step.params.items())
        lines.append(f"{step.operation} {params}".rstrip())
    if job.time_left_s is not None:
        lines.append(f"{duration(job.time_left_s)} left")
    lines.append(f"created {job.created_at.astimezone():%Y-%m-%d %H:%M:%S}")
    return "\n".join(lines)
