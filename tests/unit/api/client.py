"""A client of an app in this process, for tests that are not asynchronous themselves."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Any

import httpx
from anyio.from_thread import BlockingPortal
from fastapi import FastAPI


class AppClient:
    """Sends requests to an app through ASGI; every response is read whole."""

    def __init__(self, app: FastAPI, portal: BlockingPortal, base_url: str, headers: dict[str, str]) -> None:
        self._portal = portal
        # An app must answer whatever happens: what it lets through would be a broken connection.
        transport = httpx.ASGITransport(app, raise_app_exceptions=True)
        self._client = httpx.AsyncClient(transport=transport, base_url=base_url, headers=headers)
        self.headers = self._client.headers

    def request(
        self, method: str, path: str, *, content: bytes | Iterator[bytes] = b"", **more: Any
    ) -> httpx.Response:
        if not isinstance(content, bytes):
            more["content"] = _awaited(content)
        elif content:
            more["content"] = content
        return self._portal.call(partial(self._client.request, method, path, **more))

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self.request("GET", path, **more)

    def post(self, path: str, **more: Any) -> httpx.Response:
        return self.request("POST", path, **more)

    def put(self, path: str, **more: Any) -> httpx.Response:
        return self.request("PUT", path, **more)

    def patch(self, path: str, **more: Any) -> httpx.Response:
        return self.request("PATCH", path, **more)

    def delete(self, path: str, **more: Any) -> httpx.Response:
        return self.request("DELETE", path, **more)


async def _awaited(chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


def is_problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """Checks a problem document and gives it back."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = answer.json()
    assert document["status"] == status
    assert document["code"] == code
    assert document["type"] == f"about:blank#{code}"
    assert document["title"]
    assert document["detail"]
    assert document["request_id"] == answer.headers["x-request-id"]
    return document
