"""An object store on any S3, through the minio SDK. Its errors become ours here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, BinaryIO, cast
from urllib.parse import quote

from minio import Minio
from minio.commonconfig import CopySource
from minio.deleteobjects import DeleteObject
from minio.error import InvalidResponseError, MinioException, S3Error
from urllib3.exceptions import HTTPError

from pipeline.core.errors import InputTooLarge, InvalidInput, ObjectExists, ObjectNotFound, StorageUnavailable
from pipeline.core.s3_connection import connect
from pipeline.core.settings import Settings
from pipeline.core.storage import ObjectInfo

PART_BYTES = 8 << 20  # of a multipart put whose length is not known: 80 GB in its 10,000 parts
META = "x-amz-meta-"


def make_store(settings: Settings) -> S3ObjectStore:
    """The store that the settings name. Connects when first used."""
    return S3ObjectStore(
        settings.s3_bucket,
        connect(settings, settings.s3_url),
        connect(settings, settings.s3_public_url) if settings.s3_public_url else None,
    )


class S3ObjectStore:
    """See `pipeline.core.storage.ObjectStore`.

    What the network breaks is tried three times more within a second or so; then StorageUnavailable, as for
    everything else that S3 refuses (its code is in the message). So a conditional put whose reply was lost
    may meet the object that it put itself and raise ObjectExists: callers that care compare the object's
    metadata with what they sent.
    """

    def __init__(self, bucket: str, client: Minio, public: Minio | None) -> None:
        """Wraps clients.

        Args:
            bucket: The bucket.
            client: For every request.
            public: Signs URLs for clients, with the host name that they see; None if they see none.
        """
        self.bucket = bucket
        self._client = client
        self._public = public

    def put(
        self,
        key: str,
        data: bytes,
        *,
        content_type: str = "application/octet-stream",
        metadata: Mapping[str, str] | None = None,
        if_absent: bool = False,
    ) -> None:
        headers = {"Content-Type": content_type}
        headers.update({f"{META}{name.lower()}": value for name, value in (metadata or {}).items()})
        if if_absent:
            headers["If-None-Match"] = "*"
        with _translated(key):
            self._put_with_headers(key, data, headers)

    def _put_with_headers(self, key: str, data: bytes, headers: dict[str, str]) -> None:
        # The SDK's put_object takes no conditional header; the request beneath it does. It is private: the
        # version is pinned, and the contract suite fails if a conditional put ever overwrites.
        self._client._execute("PUT", self.bucket, key, body=data, headers=dict(headers))

    def put_stream(
        self,
        key: str,
        stream: BinaryIO,
        size_bytes: int | None,
        *,
        content_type: str = "application/octet-stream",
    ) -> None:
        reader = _Reader(stream, size_bytes)
        with _translated(key, reader):
            self._client.put_object(
                self.bucket,
                key,
                cast("BinaryIO", reader),
                length=-1 if size_bytes is None else size_bytes,
                content_type=content_type,
                part_size=PART_BYTES if size_bytes is None else 0,
                num_parallel_uploads=1,  # more would hold more parts in memory
            )

    def get(self, key: str, *, max_bytes: int | None = None) -> bytes:
        with _translated(key):
            response = self._client.get_object(self.bucket, key)
            try:
                size = int(response.headers["content-length"])
                if max_bytes is not None and size > max_bytes:
                    raise InputTooLarge(f"{key} has {size} bytes; {max_bytes} are allowed")
                return bytes(response.read())
            finally:
                response.close()  # what was read to its end is back in the pool already

    def get_range(self, key: str, offset: int, length: int) -> bytes:
        if length <= 0:
            self.stat(key)
            return b""
        with _translated(key):
            try:
                response = self._client.get_object(self.bucket, key, offset=offset, length=length)
            except S3Error as error:
                if error.code == "InvalidRange":
                    return b""
                raise
            try:
                return bytes(response.read())
            finally:
                response.close()

    def stream(self, key: str, *, chunk_bytes: int = 1 << 20) -> Iterator[bytes]:
        with _translated(key):
            response = self._client.get_object(self.bucket, key)
        return _chunks(key, response, chunk_bytes)

    def stat(self, key: str) -> ObjectInfo:
        with _translated(key):
            found = self._client.stat_object(self.bucket, key)
        headers: Mapping[str, str] = found.metadata or {}
        lowered = {name.lower(): value for name, value in headers.items()}
        metadata = {name[len(META) :]: text for name, text in lowered.items() if name.startswith(META)}
        return _info(key, found, metadata)

    def list(self, prefix: str, *, start_after: str | None = None) -> Iterator[ObjectInfo]:
        with _translated(prefix):
            found = self._client.list_objects(self.bucket, prefix, recursive=True, start_after=start_after)
            for each in found:
                yield _info(str(each.object_name), each, {})

    def copy(self, source: str, target: str) -> None:
        with _translated(source):
            self._client.copy_object(self.bucket, target, CopySource(self.bucket, source))

    def delete(self, keys: Iterable[str]) -> None:
        with _translated("delete"):
            for error in self._client.remove_objects(self.bucket, (DeleteObject(key) for key in keys)):
                raise StorageUnavailable(f"could not delete {error.name}: {error.code} {error.message}")

    def presign_get(self, key: str, *, expires_s: int, filename: str | None = None) -> str | None:
        if self._public is None:
            return None
        headers: Any = {"response-content-disposition": attachment(filename)} if filename else None
        return self._public.presigned_get_object(
            self.bucket, key, timedelta(seconds=expires_s), response_headers=headers
        )

    def presign_put(self, key: str, *, expires_s: int) -> str | None:
        if self._public is None:
            return None
        return self._public.presigned_put_object(self.bucket, key, timedelta(seconds=expires_s))

    def check(self) -> None:
        with _translated(self.bucket):
            if not self._client.bucket_exists(self.bucket):
                raise StorageUnavailable(f"there is no bucket {self.bucket!r}")

    def ensure_bucket(self) -> None:
        """Makes the bucket if it is not there."""
        with _translated(self.bucket):
            try:
                if not self._client.bucket_exists(self.bucket):
                    self._client.make_bucket(self.bucket)
            except S3Error as error:
                if error.code not in {"BucketAlreadyOwnedByYou", "BucketAlreadyExists"}:  # a race, lost
                    raise


def attachment(filename: str) -> str:
    """A Content-Disposition that saves under this name, whatever it holds (RFC 6266)."""
    plain = "".join(c if c.isascii() and c.isprintable() and c not in '"\\' else "_" for c in filename)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe='', errors='replace')}"


def _info(key: str, found: Any, metadata: Mapping[str, str]) -> ObjectInfo:
    return ObjectInfo(
        key=key,
        size_bytes=int(found.size),
        etag=str(found.etag),
        last_modified=found.last_modified.timestamp(),
        content_type=found.content_type or "application/octet-stream",
        metadata=metadata,
    )


def _chunks(key: str, response: Any, chunk_bytes: int) -> Iterator[bytes]:
    try:
        with _translated(key):
            yield from response.stream(chunk_bytes)
    finally:
        response.close()


# -- errors -----------------------------------------------------------------------------------------
class _Reader:
    """Reads the caller's stream and remembers what went wrong there: that is not the store's doing."""

    def __init__(self, stream: BinaryIO, size_bytes: int | None) -> None:
        self._stream = stream
        self._left = size_bytes
        self.raised: Exception | None = None

    def read(self, size: int = -1) -> bytes:
        try:
            data = self._stream.read(size)
            if self._left is not None:
                self._left -= len(data)
                if not data and size and self._left > 0:
                    raise InvalidInput(f"the stream ended {self._left} bytes before its declared end")
        except Exception as error:
            self.raised = error
            raise
        return data


@contextmanager
def _translated(key: str, reader: _Reader | None = None) -> Iterator[None]:
    try:
        yield
    except S3Error as error:
        if error.code == "NoSuchKey":
            raise ObjectNotFound(f"no object {key!r}") from error
        if error.code == "PreconditionFailed":
            raise ObjectExists(f"{key!r} is taken") from error
        raise StorageUnavailable(f"the object store refused {key!r}: {error.code}") from error
    except (HTTPError, MinioException, OSError) as error:
        if reader is not None and error is reader.raised:
            raise
        status = f" (status {error._code})" if isinstance(error, InvalidResponseError) else ""
        raise StorageUnavailable(f"the object store did not answer{status}: {error}") from error
