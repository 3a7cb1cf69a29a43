"""How we talk to S3: time limits, retries, reused connections, and bodies that may take their time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import certifi
import urllib3
from minio import Minio
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from pipeline.core.settings import Settings

CONNECT_S = 2.0
READ_S = 30.0
SEND_BYTES = 1 << 20
CONNECTIONS = 64  # kept for reuse; more may be open


def connect(settings: Settings, url: str) -> Minio:
    """A client of the S3 server at `url`, with the settings' keys. Connects when first used."""
    place = urlsplit(url)
    return Minio(
        place.netloc,
        access_key=settings.s3_access_key or None,
        secret_key=settings.s3_secret_key.get_secret_value(),
        secure=place.scheme == "https",
        region=settings.s3_region,
        http_client=_pools(),
    )


def _pools() -> urllib3.PoolManager:
    retry = urllib3.Retry(
        total=3,
        backoff_factor=0.1,
        backoff_jitter=0.1,
        status_forcelist=(500, 502, 503, 504),
        respect_retry_after_header=False,  # it may name any time; callers have their own back-off
    )
    pools = urllib3.PoolManager(
        maxsize=CONNECTIONS,
        timeout=urllib3.Timeout(connect=CONNECT_S, read=READ_S),
        retries=retry,
        cert_reqs="CERT_REQUIRED",
        ca_certs=os.environ.get("SSL_CERT_FILE") or certifi.where(),
    )
    pools.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}
    return pools


def _send_patiently(connection: HTTPConnection, data: Any) -> Iterator[Any]:
    # urllib3 gives the sending of a whole body the *connect* timeout, which a slow line cannot keep: here
    # each piece has the read timeout.
    if connection.sock is None:
        connection.connect()
    connection.sock.settimeout(READ_S)
    if not isinstance(data, bytes):
        yield data
        return
    view = memoryview(data)
    for start in range(0, len(view), SEND_BYTES):
        yield view[start : start + SEND_BYTES]


class _Connection(HTTPConnection):
    def send(self, data: Any) -> None:
        for piece in _send_patiently(self, data):
            super().send(piece)


class _SecureConnection(HTTPSConnection):
    def send(self, data: Any) -> None:
        for piece in _send_patiently(self, data):
            super().send(piece)


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection
