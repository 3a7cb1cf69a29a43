"""What a finished job means for the exit code and for people."""

from __future__ import annotations

from typing import Any

from pipeline.core.jobs import JobState
from triptych.cli import FAILED, OK, SOME_FAILED
from triptych.client import Client
from triptych.fetching import Fetched
from triptych.models import Job
from triptych.progress import Progress, size

KEEP_FOLDERS = "put outputs into folders as the inputs' names have them, instead of side by side"


def follow(client: Client, job_id: str, label: str) -> Job:
    """Shows a job's progress until it has ended."""
    with Progress(label) as progress:
        for job in client.watch(job_id):
            counts = job.counts
            progress.show(
                counts.done,
                counts.total,
                failed=counts.failed,
                rate=job.rate_items_per_s,
                left_s=job.time_left_s,
            )
            if job.ended:
                return job
    raise AssertionError("a watch ends with the job")


def exit_code(job: Job, *, failed: int) -> int:
    """0, 4 where items failed, 1 where the job did not complete."""
    if job.state is not JobState.COMPLETED:
        return FAILED
    return SOME_FAILED if failed else OK


def sentence(job: Job) -> str:
    """What became of a job, in a line."""
    counts = job.counts
    text = f"{job.state}: {counts.succeeded} of {counts.total} succeeded"
    if counts.failed:
        text += f", {counts.failed} failed"
    if counts.cancelled:
        text += f", {counts.cancelled} cancelled"
    if job.bytes_in and job.bytes_out:
        text += f"; {size(job.bytes_in)} became {size(job.bytes_out)}"
    return f"{text} ({job.error.message})" if job.error else text


def as_json(job: Job, fetched: Fetched | None = None) -> dict[str, Any]:
    """A job, and where its results are, for `--json`."""
    answer: dict[str, Any] = {"job": job.model_dump(mode="json")}
    if fetched is not None:
        answer.update(
            directory=str(fetched.directory),
            results=str(fetched.results),
            report=None if fetched.report is None else str(fetched.report),
            succeeded=fetched.succeeded,
            failed=fetched.failed,
            cancelled=fetched.cancelled,
            files=fetched.files,
        )
    return answer
