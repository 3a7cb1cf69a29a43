"""Uploading: files stream from disk to the store, eight at a time, page by page.

A page of at most 1000 files is declared, what is not stored yet is put, and the page is listed again: so a
broken upload goes on where it stopped, and an expired URL is replaced by a fresh one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import BinaryIO

from pipeline.core.jobs import UploadInput
from pipeline.core.references import nth_file
from triptych.local import LocalFile
from triptych.models import UploadFile, UploadPage
from triptych.parallel import for_each
from triptych.transport import ApiError, Transport, Unreachable, raise_for_problem

PAGE_FILES = 1000
PARALLEL = 8
CHUNK_BYTES = 1 << 18
ROUNDS = 3  # a URL lives 15 minutes; a page that needs more than three lists is not getting anywhere

Progress = Callable[[int, int], None]


@dataclass
class Upload:
    """An upload on the server.

    Attributes:
        upload_id: Names it.
        unsent: For each file (by its place in the order of the upload) that could not be read, why.
    """

    upload_id: str
    unsent: dict[int, str] = field(default_factory=dict)

    @property
    def inputs(self) -> UploadInput:
        """The upload as the inputs of a job."""
        return UploadInput(upload_id=self.upload_id)

    def file(self, number: int) -> str:
        """What one of its files is called in params, or as the input of an item; from 0, in their order."""
        return str(nth_file(self.upload_id, number))


class _Unreadable(Exception):
    """The file on this side cannot be sent as it was declared."""


async def upload(
    transport: Transport,
    files: Sequence[LocalFile],
    *,
    resume: str | None = None,
    on_progress: Progress | None = None,
) -> Upload:
    """Uploads files, in order.

    Args:
        transport: The connection.
        files: What to upload; one at least.
        resume: Id of an upload of the same files that was broken off.
        on_progress: Called with files done and files in all.

    Raises:
        ApiError: The server or the store refused.
        Unreachable: No answer.
    """
    if not files:
        raise ValueError("nothing to upload")
    done = Upload(resume or "")
    sent = 0
    for page, start in enumerate(range(0, len(files), PAGE_FILES)):
        chunk = files[start : start + PAGE_FILES]
        listing = await _declare(transport, done.upload_id, page, chunk)
        done.upload_id = listing.upload_id

        def note(count: int = 1) -> None:
            nonlocal sent
            sent += count
            if on_progress is not None:
                on_progress(sent, len(files))

        unsent = await _fill(transport, listing, chunk, note)
        done.unsent.update({start + place: why for place, why in unsent.items()})
    return done


async def _declare(transport: Transport, upload_id: str, page: int, files: Sequence[LocalFile]) -> UploadPage:
    body = {"files": [{"name": file.wire_name, "size_bytes": file.size_bytes} for file in files]}
    path = f"/v1/uploads/{upload_id}/pages/{page}" if upload_id else "/v1/uploads"
    return UploadPage.model_validate(await transport.json("POST", path, body=body))


async def _fill(
    transport: Transport, listing: UploadPage, files: Sequence[LocalFile], note: Callable[[int], None]
) -> dict[int, str]:
    """Puts the page's files until the server has all but those that cannot be read.

    Returns:
        For each place of an unreadable file, why.
    """
    unsent: dict[int, str] = {}
    note(sum(file.stored for file in listing.files))
    for _ in range(ROUNDS):
        pending = [file for file in listing.files if not file.stored and file.place not in unsent]
        if not pending:
            return unsent
        await for_each(pending, partial(_send, transport, files, unsent, note), limit=PARALLEL)
        if len(unsent) < len(pending):
            path = f"/v1/uploads/{listing.upload_id}/pages/{listing.page}"
            listing = UploadPage.model_validate(await transport.json("GET", path))
    missing = [file.name for file in listing.files if not file.stored and file.place not in unsent]
    if missing:
        raise Unreachable(f"{len(missing)} files did not reach the object store; the first is {missing[0]!r}")
    return unsent


async def _send(
    transport: Transport,
    files: Sequence[LocalFile],
    unsent: dict[int, str],
    note: Callable[[int], None],
    target: UploadFile,
) -> None:
    try:
        await _put(transport, target, files[target.place])
    except _Unreadable as error:
        unsent[target.place] = str(error)
    except ApiError as error:
        if error.status != 403 or target.url.startswith("/"):
            raise
        return  # a presigned URL that came too late: the next round has a fresh one
    note(1)


async def _put(transport: Transport, target: UploadFile, file: LocalFile) -> None:
    async def attempt() -> None:
        try:
            with file.path.open("rb") as stream:
                answer = await transport.side(target.url).put(
                    target.url,
                    content=_chunks(stream, target.size_bytes),
                    headers={"Content-Length": str(target.size_bytes)},
                )
        except OSError as error:
            raise _Unreadable((error.strerror or str(error)).lower()) from error
        raise_for_problem(answer)

    await transport.retrying(attempt)


async def _chunks(stream: BinaryIO, size_bytes: int) -> AsyncIterator[bytes]:
    """The file's bytes, which must be as many as were declared."""
    left = size_bytes
    while chunk := await asyncio.to_thread(stream.read, CHUNK_BYTES):
        left -= len(chunk)
        if left < 0:
            break
        yield chunk
    if left != 0:
        raise _Unreadable("the file changed while it was being uploaded")
