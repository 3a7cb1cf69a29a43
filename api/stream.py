"""A request's body as a file that the object store reads from: never held whole, never spooled."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from functools import partial
from typing import BinaryIO, cast

from anyio import CapacityLimiter, fail_after, from_thread, to_thread
from anyio.lowlevel import current_token
from starlette.requests import Request

from pipeline.core.errors import BodyTooLarge, InvalidInput
from pipeline.core.storage import ObjectStore

SILENCE_S = 60.0  # a client that sends nothing for so long has gone, and holds a thread


class BodyReader(io.RawIOBase):
    """Reads a request's body from a thread, chunk by chunk, as the event loop receives it.

    It asks for the next chunk only when the last one is used up, so the connection is read no faster than the
    store takes it, and one chunk is all that is held.

    Attributes:
        failure: What stopped it; whoever catches an error of the store's looks here first.
    """

    def __init__(self, chunks: AsyncIterator[bytes], size_bytes: int) -> None:
        self._chunks = chunks
        self._left = size_bytes
        self._size = size_bytes
        self._rest = memoryview(b"")
        self._loop = current_token()
        self.failure: Exception | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Fills the buffer as far as the chunk at hand reaches; 0 at the end of a body of the right size."""
        if not self._rest:
            self._rest = memoryview(self._next())
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def _next(self) -> bytes:
        try:
            chunk = from_thread.run(self._receive, token=self._loop)
            self._left -= len(chunk)
            if self._left < 0:
                raise BodyTooLarge(f"the body has more than the {self._size} bytes that were declared")
            if not chunk and self._left:
                raise InvalidInput(f"the body ended {self._left} bytes short of the declared {self._size}")
        except Exception as error:
            self.failure = error
            raise
        return chunk

    async def _receive(self) -> bytes:
        try:
            with fail_after(SILENCE_S):
                async for chunk in self._chunks:
                    if chunk:  # request.stream() ends with an empty one
                        return chunk
        except TimeoutError:
            raise InvalidInput(f"nothing of the body came for {SILENCE_S:.0f} s") from None
        return b""


async def store_body(
    store: ObjectStore, key: str, request: Request, size_bytes: int, *, limiter: CapacityLimiter
) -> None:
    """Puts a request's body under a key.

    Args:
        store: Takes it as it comes in; an aborted put leaves nothing behind.
        key: Where it goes.
        request: Whose body has not been read yet.
        size_bytes: The size that it must have.
        limiter: How many bodies are taken at a time.

    Raises:
        BodyTooLarge: There is more of it.
        InvalidInput: There is less of it.
        ClientDisconnect: The client went away.
    """
    reader = BodyReader(request.stream(), size_bytes)
    stream = cast("BinaryIO", io.BufferedReader(reader, buffer_size=1 << 20))
    try:
        await to_thread.run_sync(partial(store.put_stream, key, stream, size_bytes), limiter=limiter)
    except Exception:
        if reader.failure is not None:
            raise reader.failure from None
        raise
