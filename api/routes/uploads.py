"""Uploads: declare files, then PUT each to its URL; list a page to resume."""

from __future__ import annotations

from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Path, Request, Response
from starlette.exceptions import HTTPException

from api import uploads
from api.deps import CallerDep, ServicesDep
from api.errors import documented
from api.schemas import UploadOut
from api.stream import store_body
from pipeline.core.errors import InvalidInput
from pipeline.core.keys import UploadKeys
from pipeline.core.uploads import MAX_PAGE_FILES, MAX_PAGES, UploadPage, new_upload_id

router = APIRouter(prefix="/v1/uploads", tags=["uploads"], responses=documented(401, 403, 422, 503))

UploadId = Annotated[str, Path(examples=["upl_0123456789abcdef0123456789abcdef"])]
Page = Annotated[int, Path(ge=0, lt=MAX_PAGES)]
Place = Annotated[int, Path(ge=0, lt=MAX_PAGE_FILES)]


@router.post("", status_code=201, operation_id="createUpload", responses=documented(413))
def create_upload(declared: UploadPage, services: ServicesDep, caller: CallerDep) -> UploadOut:
    """Declares an upload with its first page of files."""
    return uploads.create_page(services, caller, new_upload_id(), 0, declared)[0]


@router.post(
    "/{upload_id}/pages/{page}",
    status_code=201,
    operation_id="declareUploadPage",
    responses={
        200: {"model": UploadOut, "description": "The page was declared with the same files before"},
        **documented(404, 409, 413),
    },
)
def declare_page(
    upload_id: UploadId,
    page: Page,
    declared: UploadPage,
    *,
    services: ServicesDep,
    caller: CallerDep,
    response: Response,
) -> UploadOut:
    """Declares another page of an upload, 1000 files at most; may be repeated."""
    shown, new = uploads.create_page(services, caller, upload_id, page, declared)
    response.status_code = 201 if new else 200
    return shown


@router.get("/{upload_id}/pages/{page}", operation_id="getUploadPage", responses=documented(404))
def get_page(upload_id: UploadId, page: Page, services: ServicesDep, caller: CallerDep) -> UploadOut:
    """A page with fresh URLs, and which files are stored: what an interrupted upload goes on from."""
    return uploads.show_page(services, caller, upload_id, page)


@router.delete(
    "/{upload_id}",
    status_code=204,
    operation_id="deleteUpload",
    responses={
        202: {"description": "Some thousand files are gone; repeat for the next"},
        **documented(404, 409),
    },
)
def delete_upload(upload_id: UploadId, services: ServicesDep, caller: CallerDep) -> Response:
    """Deletes an upload's files, once no job needs them: repeat while it answers 202."""
    return Response(status_code=204 if uploads.erase(services, caller, upload_id) else 202)


@router.put(
    "/{upload_id}/files/{page}/{place}",
    status_code=204,
    operation_id="putUploadFile",
    responses=documented(404, 411, 413),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        }
    },
)
async def put_file(
    upload_id: UploadId,
    page: Page,
    place: Place,
    *,
    services: ServicesDep,
    caller: CallerDep,
    request: Request,
) -> Response:
    """Streams one file through to the store; Content-Length is the size that was declared."""
    file = await to_thread.run_sync(uploads.declared_file, services, caller, upload_id, page, place)
    length = request.headers.get("content-length")
    if length is None:
        raise HTTPException(411, "a Content-Length is needed: the declared size")
    if int(length) != file.size_bytes:
        raise InvalidInput(f"the body has {length} bytes; {file.size_bytes} were declared")
    key = UploadKeys(caller.owner, upload_id).file(page, place)
    await store_body(services.store, key, request, file.size_bytes, limiter=services.upload_threads)
    return Response(status_code=204)
