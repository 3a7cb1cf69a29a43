"""Uploads: pages of names and sizes, each file with a URL to put it to."""

from __future__ import annotations

from itertools import islice

from api.auth import Caller
from api.heads import load_spec
from api.schemas import UploadFileOut, UploadOut
from api.services import Services
from pipeline.core.errors import (
    Conflict,
    InputTooLarge,
    JobNotFound,
    ObjectExists,
    ObjectNotFound,
    UploadNotFound,
)
from pipeline.core.keys import ACTIVE, UploadKeys
from pipeline.core.uploads import UploadFile, UploadPage, check_upload_id

MOST_ERASED = 10_000  # files a call: a few seconds


def create_page(
    services: Services, caller: Caller, upload_id: str, page: int, declared: UploadPage
) -> tuple[UploadOut, bool]:
    """Declares a page of an upload; doing it again changes nothing.

    Returns:
        The page, and whether it is new.

    Raises:
        UploadNotFound: A page after the first one, of an upload that the caller does not have.
        InputTooLarge: A file is larger than inputs may be.
        Conflict: The page was declared with other files before.
    """
    limit = services.settings.max_input_bytes
    for file in declared.files:
        if file.size_bytes > limit:
            raise InputTooLarge(f"{file.name[:80]!r} has {file.size_bytes} bytes; at most {limit} are taken")
    keys = UploadKeys(caller.owner, check_upload_id(upload_id))
    if page:
        read_page(services, caller, upload_id, 0)
    data = declared.model_dump_json().encode()
    try:
        services.store.put(keys.page(page), data, content_type="application/json", if_absent=True)
    except ObjectExists as error:
        if read_page(services, caller, upload_id, page) != declared:
            raise Conflict(f"page {page} was declared with other files before") from error
        return show_page(services, caller, upload_id, page), False
    return _shown(services, keys, page, declared, stored=set()), True


def read_page(services: Services, caller: Caller, upload_id: str, page: int) -> UploadPage:
    """A page as it was declared; raises UploadNotFound."""
    keys = UploadKeys(caller.owner, check_upload_id(upload_id))
    try:
        return UploadPage.model_validate_json(services.store.get(keys.page(page)))
    except ObjectNotFound as error:
        raise UploadNotFound(f"no upload {upload_id!r} with a page {page}") from error


def declared_file(services: Services, caller: Caller, upload_id: str, page: int, place: int) -> UploadFile:
    """One file as it was declared; raises UploadNotFound."""
    files = read_page(services, caller, upload_id, page).files
    if place >= len(files):
        raise UploadNotFound(f"page {page} of {upload_id!r} has {len(files)} files; no place {place}")
    return files[place]


def show_page(services: Services, caller: Caller, upload_id: str, page: int) -> UploadOut:
    """A page with fresh URLs, and what of it is stored; raises UploadNotFound."""
    declared = read_page(services, caller, upload_id, page)
    keys = UploadKeys(caller.owner, upload_id)
    folder = keys.file(page, 0).rpartition("/")[0] + "/"
    sizes = {found.key: found.size_bytes for found in services.store.list(folder)}
    stored = {
        place
        for place, file in enumerate(declared.files)
        if sizes.get(keys.file(page, place)) == file.size_bytes
    }
    return _shown(services, keys, page, declared, stored)


def erase(services: Services, caller: Caller, upload_id: str) -> bool:
    """Deletes an upload with its files; may be repeated, as its first page goes last.

    Returns:
        Whether all is gone; an upload of many files takes several calls.

    Raises:
        UploadNotFound: The caller has none of that id.
        Conflict: A job that has not ended names it, or may (one is being submitted). What a manifest in the
            bucket names is not looked at.
    """
    read_page(services, caller, upload_id, 0)
    for active in services.store.list(ACTIVE):
        try:
            spec = load_spec(services.store, active.key.removeprefix(ACTIVE))
        except JobNotFound:
            raise Conflict("a job is being submitted that may need it; try again in a minute") from None
        if spec.owner == caller.owner and upload_id in spec.model_dump_json(include={"inputs", "steps"}):
            raise Conflict(f"{spec.id} has not ended, and needs it")
    keys = UploadKeys(caller.owner, upload_id)
    some = [info.key for info in islice(services.store.list(keys.files_prefix), MOST_ERASED)]
    services.store.delete(some)
    if len(some) == MOST_ERASED:
        return False
    pages = [info.key for info in services.store.list(keys.pages_prefix)]
    services.store.delete(pages[1:])
    services.store.delete(pages[:1])
    return True


def _shown(
    services: Services, keys: UploadKeys, page: int, declared: UploadPage, stored: set[int]
) -> UploadOut:
    presign_s = services.settings.presign_s
    files = []
    for place, file in enumerate(declared.files):
        url = services.store.presign_put(keys.file(page, place), expires_s=presign_s)
        files.append(
            UploadFileOut(
                place=place,
                name=file.name,
                size_bytes=file.size_bytes,
                url=url or f"/v1/uploads/{keys.upload_id}/files/{page}/{place}",
                stored=place in stored,
            )
        )
    return UploadOut(upload_id=keys.upload_id, page=page, files=files)
