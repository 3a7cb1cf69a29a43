"""An owner's jobs, newest first, from their index in storage."""

from __future__ import annotations

import re

from api.auth import Caller
from api.jobs import document, find_job
from api.schemas import Job, JobList
from api.services import Services
from pipeline.core.errors import InvalidCursor, JobNotFound
from pipeline.core.jobs import JobState
from pipeline.core.keys import index_prefix, parse_index_key

MAX_LISTED = 100
MAX_LOOKED_AT = 500  # a page that looks for a rare state ends here and gives a cursor to go on

_CURSOR = re.compile(r"^\d{13}-job_[0-9a-f]{32}$", re.ASCII)


def list_jobs(
    services: Services, caller: Caller, *, limit: int, cursor: str | None, state: JobState | None
) -> JobList:
    """A page of the caller's jobs.

    Args:
        services: The process's services.
        caller: Whose jobs.
        limit: Jobs on the page, at most.
        cursor: Where the page before ended; None for the first page.
        state: Show these only.

    Raises:
        InvalidCursor: The cursor is none of this list's.
    """
    if cursor is not None and not _CURSOR.fullmatch(cursor):
        raise InvalidCursor(f"not a cursor of this list: {cursor[:80]!r}")
    prefix = index_prefix(caller.owner)
    start_after = None if cursor is None else prefix + cursor
    jobs: list[Job] = []
    last = ""
    for number, entry in enumerate(services.store.list(prefix, start_after=start_after)):
        if len(jobs) == limit or number == MAX_LOOKED_AT:
            return JobList(jobs=jobs, next_cursor=last)
        last = entry.key.removeprefix(prefix)
        try:
            job = document(find_job(services, caller, parse_index_key(entry.key)))
        except JobNotFound:
            continue  # being deleted
        if state is None or job.state is state:
            jobs.append(job)
    return JobList(jobs=jobs, next_cursor=None)
