"""Pages of result lines."""

from __future__ import annotations

from fastapi import Response

from api.jobs import Standing
from api.services import Services
from pipeline.core.results import Cursor, JobResults

NDJSON = "application/x-ndjson"
MAX_PAGE_BYTES = 8 * 2**20


def job_results(services: Services, job: Standing) -> JobResults:
    """The job's results as far as they are there: by the ledger while it runs, by its summary afterwards."""
    job_id = job.head.id
    if job.state.ended:
        results = services.ended.get(services.store, job_id, job.head.created_at)
        if results is not None:
            return results
    shards = job.view.shards if job.view is not None else 0
    winners = services.ledger.winners(job_id) if shards else {}
    return JobResults(services.store, job_id, winners, shards)


def read_page(
    services: Services, job: Standing, cursor: str | None, limit: int, *, failed_only: bool = False
) -> Response:
    """One page, at most `limit` lines and about MAX_PAGE_BYTES; at least one line, if there is any.

    Raises:
        InvalidCursor: The cursor is none of this job's.
    """
    results = job_results(services, job)
    start = Cursor() if cursor is None else Cursor.parse(cursor)
    headers = {"Triptych-Complete": str(results.complete).lower()}
    page: list[bytes] = []
    size_bytes = 0
    for place, line in results.read(start, failed_only=failed_only):
        if page and (len(page) >= min(limit, services.settings.page_size) or size_bytes > MAX_PAGE_BYTES):
            headers["Triptych-Next-Cursor"] = str(place)
            break
        page.append(line + b"\n")
        size_bytes += len(line) + 1
    return Response(b"".join(page), headers=headers, media_type=NDJSON)
