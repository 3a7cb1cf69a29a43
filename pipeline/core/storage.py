"""What Triptych asks of an object store, and no more.

Two implementations live under one contract suite: `pipeline.core.s3` (any S3, through the minio SDK) and
`pipeline.core.memory` (for tests). Keys are those of `pipeline.core.keys`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO, Protocol


@dataclass(frozen=True)
class ObjectInfo:
    """What a store says of an object.

    Attributes:
        etag: Changes whenever the bytes do.
        metadata: User metadata, names in lower case; empty in listings.
    """

    key: str
    size_bytes: int
    etag: str
    last_modified: float
    content_type: str = "application/octet-stream"
    metadata: Mapping[str, str] = field(default_factory=dict)


class ObjectStore(Protocol):
    """A bucket. Every method may raise StorageUnavailable."""

    def put(
        self,
        key: str,
        data: bytes,
        *,
        content_type: str = "application/octet-stream",
        metadata: Mapping[str, str] | None = None,
        if_absent: bool = False,
    ) -> None:
        """Puts an object whole.

        Args:
            key: Its key.
            data: Its bytes.
            content_type: MIME type.
            metadata: Names and ASCII values, 2 KB together at most.
            if_absent: Do nothing if the key is taken (atomic).

        Raises:
            ObjectExists: `if_absent`, and the key was taken.
        """

    def put_stream(
        self,
        key: str,
        stream: BinaryIO,
        size_bytes: int | None,
        *,
        content_type: str = "application/octet-stream",
    ) -> None:
        """Puts what a stream gives, multipart, never held whole. An aborted put leaves nothing behind.

        Args:
            key: Its key.
            stream: Read to its end.
            size_bytes: Its length; None if not known.
            content_type: MIME type.

        Raises:
            InvalidInput: The stream ended before `size_bytes`. What the stream itself raises comes through.
        """

    def get(self, key: str, *, max_bytes: int | None = None) -> bytes:
        """The object's bytes.

        Raises:
            ObjectNotFound: No such key.
            InputTooLarge: It has more than `max_bytes`; they were not fetched.
        """

    def get_range(self, key: str, offset: int, length: int) -> bytes:
        """At most `length` bytes from `offset`; empty past the end. Raises ObjectNotFound."""

    def stream(self, key: str, *, chunk_bytes: int = 1 << 20) -> Iterator[bytes]:
        """The object's bytes in chunks. Raises ObjectNotFound at the call, before any chunk is asked for."""

    def stat(self, key: str) -> ObjectInfo:
        """Size, etag and metadata. Raises ObjectNotFound."""

    def list(self, prefix: str, *, start_after: str | None = None) -> Iterator[ObjectInfo]:
        """Objects under a prefix in key order, after `start_after` (a key it listed). Pages by itself.

        Key order is by UTF-8 bytes within a folder. Across folders a server may go folder by folder, as if
        "/" came before every other character (SeaweedFS does); each server keeps to one order. Do not go on
        after a key that is a folder's name as well.
        """

    def copy(self, source: str, target: str) -> None:
        """Copies within the bucket. Raises ObjectNotFound."""

    def delete(self, keys: Iterable[str]) -> None:
        """Deletes objects; keys that are not there are no error."""

    def presign_get(self, key: str, *, expires_s: int, filename: str | None = None) -> str | None:
        """A URL that reads this key for a while, as an attachment if named.

        None where clients cannot reach the store.
        """

    def presign_put(self, key: str, *, expires_s: int) -> str | None:
        """A URL that puts this key for a while. None where clients cannot reach the store."""

    def check(self) -> None:
        """Raises StorageUnavailable unless the bucket answers."""
