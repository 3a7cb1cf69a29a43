"""Around every request: an id, a log line, a count, and a problem document when all else fails.

Pure ASGI, as are the guards, so that bodies and event streams pass through unbuffered.
"""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import problem
from pipeline.core.errors import InternalError
from pipeline.core.logs import bound, get_logger

log = get_logger(__name__)

_GIVEN_ID = re.compile(r"^[A-Za-z0-9._-]{1,128}$", re.ASCII)
CLIENT_CLOSED = 499  # as nginx logs it; nobody receives it

Observer = Callable[[str, str, int, float], None]  # method, route template, status, seconds


class Envelope:
    """The outermost middleware."""

    def __init__(self, app: ASGIApp, observe: Observer) -> None:
        self._app = app
        self._observe = observe

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = scope["request_id"] = _request_id(scope)
        started = time.perf_counter()
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-Id"] = request_id
            await send(message)

        with bound(request_id=request_id):
            try:
                await self._app(scope, receive, send_with_id)
            except ClientDisconnect:
                status = CLIENT_CLOSED
            except Exception as error:
                log.error("request.crashed", path=scope["path"], exc_info=error)
                if status:
                    raise  # half a response is out: the server must break the connection
                detail = (InternalError.__doc__ or "").strip()
                await problem(500, InternalError.code, detail, request_id)(scope, receive, send_with_id)
            finally:
                seconds = time.perf_counter() - started
                method, route = scope["method"], getattr(scope.get("route"), "path", "unmatched")
                self._observe(method, route, status, seconds)
                log.info(
                    "request.done",
                    method=method,
                    path=scope["path"],
                    status=status,
                    seconds=round(seconds, 4),
                )


def _request_id(scope: Scope) -> str:
    """The client's own id if it is a plain one, else a new one: it goes to logs and into job.json."""
    given = Headers(scope=scope).get("x-request-id", "")
    return given if _GIVEN_ID.fullmatch(given) else uuid.uuid4().hex
