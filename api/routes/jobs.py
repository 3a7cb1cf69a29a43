"""Jobs: submit, list, look, change, cancel, delete, and watch."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Query, Request, Response
from sse_starlette import EventSourceResponse

from api import decide
from api.deps import CallerDep, ServicesDep, StandingDep
from api.errors import documented, request_id_of
from api.events import PING_S, progress
from api.jobs import document, find_job
from api.listing import MAX_LISTED, list_jobs
from api.schemas import Job, JobChange, JobList, JobRequest
from api.submit import submit
from pipeline.core.jobs import JobState

router = APIRouter(prefix="/v1/jobs", tags=["jobs"], responses=documented(401, 403, 422, 503))


@router.post(
    "",
    status_code=202,
    operation_id="createJob",
    responses={
        200: {"model": Job, "description": "This Idempotency-Key made the job before"},
        202: {"headers": {"Location": {"schema": {"type": "string"}}}},
        **documented(404, 409, 413),
    },
)
def create_job(
    request: JobRequest,
    *,
    services: ServicesDep,
    caller: CallerDep,
    http: Request,
    response: Response,
    idempotency_key: Annotated[
        str | None, Header(min_length=1, max_length=255, description="makes repeating this request harmless")
    ] = None,
) -> Job:
    """Accepts a job. It is in storage when this answers."""
    job, new = submit(
        services, caller, request, idempotency_key=idempotency_key, request_id=request_id_of(http)
    )
    response.status_code = 202 if new else 200
    response.headers["Location"] = f"/v1/jobs/{job.head.id}"
    return document(job)


@router.get("", operation_id="listJobs")
def get_jobs(
    services: ServicesDep,
    caller: CallerDep,
    limit: Annotated[int, Query(ge=1, le=MAX_LISTED)] = 50,
    cursor: Annotated[str | None, Query(description="`next_cursor` of the page before")] = None,
    state: JobState | None = None,
) -> JobList:
    """Your jobs, newest first. With `state`, a page may be short and still have a next one."""
    return list_jobs(services, caller, limit=limit, cursor=cursor, state=state)


@router.get("/{job_id}", operation_id="getJob", responses=documented(404))
def get_job(job: StandingDep) -> Job:
    """A job as it stands."""
    return document(job)


@router.patch("/{job_id}", operation_id="changeJob", responses=documented(404, 409, 413))
def patch_job(wanted: JobChange, job: StandingDep, services: ServicesDep, caller: CallerDep) -> Job:
    """Pauses, resumes, reorders or dates a job that has not ended."""
    decide.change(services, job, wanted)
    return document(find_job(services, caller, job.head.id))


@router.post(
    "/{job_id}/cancel",
    status_code=202,
    operation_id="cancelJob",
    responses={200: {"model": Job, "description": "It had ended already"}, **documented(404)},
)
def cancel_job(job: StandingDep, services: ServicesDep, caller: CallerDep, response: Response) -> Job:
    """Cancels a job: what runs may finish, nothing else begins. May be repeated."""
    response.status_code = 200 if job.state.ended else 202
    decide.cancel(services, job)
    return document(find_job(services, caller, job.head.id))


@router.delete(
    "/{job_id}",
    status_code=202,
    operation_id="deleteJob",
    response_class=Response,
    responses=documented(404, 409),
)
def delete_job(job: StandingDep, services: ServicesDep) -> Response:
    """Deletes a job that has ended, with all its results. It is gone from here at once."""
    decide.delete(services, job)
    return Response(status_code=202)


@router.get(
    "/{job_id}/events",
    operation_id="watchJob",
    response_class=EventSourceResponse,
    responses={
        200: {
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
            "description": 'Events "progress", then one "end"; each carries the job as JSON',
        },
        **documented(404),
    },
)
async def watch_job(job: StandingDep, services: ServicesDep, caller: CallerDep) -> EventSourceResponse:
    """Server-sent events: the job whenever it has changed, until it has ended."""
    return EventSourceResponse(progress(services, caller, job), ping=PING_S)
