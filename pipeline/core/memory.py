"""An object store in memory, for tests. `MemoryLedger` is its companion."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import BinaryIO

from pipeline.core.errors import InputTooLarge, InvalidInput, ObjectExists, ObjectNotFound
from pipeline.core.memory_ledger import MemoryLedger
from pipeline.core.storage import ObjectInfo

__all__ = ["MemoryLedger", "MemoryObjectStore"]


@dataclass(frozen=True)
class _Object:
    data: bytes
    info: ObjectInfo


class MemoryObjectStore:
    """See `pipeline.core.storage.ObjectStore`. Safe between threads; clients cannot reach it."""

    def __init__(self, *, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._objects: dict[str, _Object] = {}
        self._lock = threading.Lock()

    def put(
        self,
        key: str,
        data: bytes,
        *,
        content_type: str = "application/octet-stream",
        metadata: Mapping[str, str] | None = None,
        if_absent: bool = False,
    ) -> None:
        lowered = {name.lower(): value for name, value in (metadata or {}).items()}
        info = ObjectInfo(
            key=key,
            size_bytes=len(data),
            etag=hashlib.sha256(data).hexdigest(),
            last_modified=self._now(),
            content_type=content_type,
            metadata=lowered,
        )
        with self._lock:
            if if_absent and key in self._objects:
                raise ObjectExists(f"{key!r} is taken")
            self._objects[key] = _Object(bytes(data), info)

    def put_stream(
        self,
        key: str,
        stream: BinaryIO,
        size_bytes: int | None,
        *,
        content_type: str = "application/octet-stream",
    ) -> None:
        data = b""
        while size_bytes is None or len(data) < size_bytes:
            piece = stream.read(-1 if size_bytes is None else size_bytes - len(data))
            if not piece:
                break
            data += piece
        if size_bytes is not None and len(data) < size_bytes:
            raise InvalidInput(f"the stream ended {size_bytes - len(data)} bytes before its declared end")
        self.put(key, data, content_type=content_type)

    def get(self, key: str, *, max_bytes: int | None = None) -> bytes:
        data = self._found(key).data
        if max_bytes is not None and len(data) > max_bytes:
            raise InputTooLarge(f"{key} has {len(data)} bytes; {max_bytes} are allowed")
        return data

    def get_range(self, key: str, offset: int, length: int) -> bytes:
        return self._found(key).data[offset : offset + max(0, length)]

    def stream(self, key: str, *, chunk_bytes: int = 1 << 20) -> Iterator[bytes]:
        data = self._found(key).data
        return (data[start : start + chunk_bytes] for start in range(0, len(data), chunk_bytes))

    def stat(self, key: str) -> ObjectInfo:
        return self._found(key).info

    def list(self, prefix: str, *, start_after: str | None = None) -> Iterator[ObjectInfo]:
        after = (start_after or "").encode()
        with self._lock:
            found = [each.info for key, each in self._objects.items() if key.startswith(prefix)]
        found.sort(key=lambda info: info.key.encode())
        return (replace(info, metadata={}) for info in found if not after or info.key.encode() > after)

    def copy(self, source: str, target: str) -> None:
        found = self._found(source)
        info = found.info
        self.put(target, found.data, content_type=info.content_type, metadata=info.metadata)

    def delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            with self._lock:
                self._objects.pop(key, None)

    def presign_get(self, key: str, *, expires_s: int, filename: str | None = None) -> str | None:  # noqa: ARG002
        return None

    def presign_put(self, key: str, *, expires_s: int) -> str | None:  # noqa: ARG002
        return None

    def check(self) -> None:
        """It is always there."""

    def _found(self, key: str) -> _Object:
        with self._lock:
            try:
                return self._objects[key]
            except KeyError:
                raise ObjectNotFound(f"no object {key!r}") from None
