"""What came of a job: result lines, errors, outputs, the report."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, BackgroundTasks, Path, Query, Request, Response
from fastapi.responses import RedirectResponse, StreamingResponse

from api.deps import CallerDep, ServicesDep, StandingDep
from api.errors import documented, request_id_of
from api.outputs import attachment_name, output_of
from api.pages import NDJSON, job_results, read_page
from api.schemas import SearchOut, SearchRequest
from api.search import dispose, search
from pipeline.core.errors import JobNotFinished
from pipeline.core.keys import JobKeys
from pipeline.core.s3 import attachment

router = APIRouter(
    prefix="/v1/jobs/{job_id}", tags=["results"], responses=documented(401, 403, 404, 422, 503)
)

# The report is made of users' names and pictures: no script, no other site, no frame.
REPORT_POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; sandbox"
)

CursorQuery = Annotated[str | None, Query(description="`Triptych-Next-Cursor` of the page before")]
LimitQuery = Annotated[int, Query(ge=1, le=10_000, description="lines; a page is also cut at some megabytes")]
LINES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "One result line (JSON) a line",
        "content": {NDJSON: {"schema": {"type": "string"}}},
        "headers": {
            "Triptych-Next-Cursor": {
                "description": "where the next page begins; absent at the end of what is there",
                "schema": {"type": "string"},
            },
            "Triptych-Complete": {
                "description": "whether no line will be added any more",
                "schema": {"type": "string", "enum": ["true", "false"]},
            },
        },
    }
}


@router.get("/results", operation_id="listResults", response_class=Response, responses=LINES)
def get_results(
    job: StandingDep, services: ServicesDep, cursor: CursorQuery = None, limit: LimitQuery = 1000
) -> Response:
    """Result lines in input order; of a job that runs, those of the shards that are finished."""
    return read_page(services, job, cursor, limit)


@router.get("/errors", operation_id="listErrors", response_class=Response, responses=LINES)
def get_errors(
    job: StandingDep, services: ServicesDep, cursor: CursorQuery = None, limit: LimitQuery = 1000
) -> Response:
    """The same for the items that failed."""
    return read_page(services, job, cursor, limit, failed_only=True)


@router.get(
    "/items/{index}/output",
    operation_id="getOutput",
    response_class=Response,
    responses={
        200: {
            "description": "The output's bytes",
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        },
        302: {
            "description": "Where the store gives it out",
            "headers": {"Location": {"schema": {"type": "string"}}},
        },
    },
)
def get_output(
    index: Annotated[int, Path(ge=0, lt=10**9)], job: StandingDep, services: ServicesDep
) -> Response:
    """The output of one item, as a download."""
    key, custom_id = output_of(job_results(services, job), index)
    name = attachment_name(custom_id, key)
    url = services.store.presign_get(key, expires_s=services.settings.presign_s, filename=name)
    if url is not None:
        return RedirectResponse(url, 302)
    found = services.store.stat(key)
    headers = {
        "Content-Length": str(found.size_bytes),
        "Content-Disposition": attachment(name),
        "X-Content-Type-Options": "nosniff",
    }
    return StreamingResponse(
        services.store.stream(key), headers=headers, media_type="application/octet-stream"
    )


@router.post("/search", operation_id="searchJob", responses=documented(409, 413))
async def search_job(
    wanted: SearchRequest,
    job: StandingDep,
    *,
    services: ServicesDep,
    caller: CallerDep,
    http: Request,
    afterwards: BackgroundTasks,
) -> SearchOut:
    """The items of a job described with `embedding` that are nearest to a text."""
    found, search_id = await search(services, caller, job, wanted, request_id_of(http))
    afterwards.add_task(dispose, services, caller, search_id)
    return found


@router.get(
    "/report",
    operation_id="getReport",
    response_class=Response,
    responses={
        200: {"content": {"text/html": {"schema": {"type": "string"}}}, "description": "The report"},
        **documented(409),
    },
)
def get_report(job: StandingDep, services: ServicesDep) -> Response:
    """The job's report, once it has ended."""
    if not job.state.ended:
        raise JobNotFinished(f"the job is {job.state}; its report comes at its end")
    headers = {"Content-Security-Policy": REPORT_POLICY, "X-Content-Type-Options": "nosniff"}
    data = services.store.get(JobKeys(job.head.id).report)
    return Response(data, headers=headers, media_type="text/html; charset=utf-8")
