"""What is refused before any route sees it: bodies over the limit, and, without API keys, strangers.

Without keys whoever reaches the port may do all. So only this machine may reach it: by a loopback address, by
a loopback name (a page that rebinds its own name to 127.0.0.1 sends that name), and not from another site's
page (which a browser lets send, even though it may not read the answer).
"""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import problem_of
from pipeline.core.errors import BodyTooLarge, Forbidden
from pipeline.core.settings import Settings, SettingsError

_FILE = re.compile(r"^/v1/uploads/[^/]+/files/")


class BodyLimit:
    """Refuses bodies over the limit: at once by Content-Length, or when too much has come."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._body = settings.max_body_bytes
        self._file = settings.max_input_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        streamed = scope["method"] == "PUT" and _FILE.match(scope["path"])
        limit = self._file if streamed else self._body
        said = f"the body has more than {limit} bytes"
        length = Headers(scope=scope).get("content-length", "0")
        if length.isascii() and length.isdigit() and int(length) > limit:
            await problem_of(BodyTooLarge(said), scope["request_id"])(scope, receive, send)
            return
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            if message["type"] == "http.request":
                seen += len(message.get("body", b""))
                if seen > limit:
                    # FastAPI hides any other exception of a body's reading behind a 400.
                    raise HTTPException(413, said)
            return message

        await self._app(scope, counted, send)


class LoopbackOnly:
    """Refuses everybody but this machine's own programs and pages."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            refusal = _refusal(scope)
            if refusal:
                await problem_of(Forbidden(refusal), scope["request_id"])(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _refusal(scope: Scope) -> str | None:
    headers = Headers(scope=scope)
    if headers.getlist("host")[1:] or not is_loopback(_name(headers.get("host", ""))):
        return "without API keys, only loopback Host headers are accepted"
    address = (scope.get("server") or ("", None))[0]
    if _is_address(address) and not is_loopback(address):
        return "without API keys, only loopback addresses are served"
    if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        return "without API keys, requests of other sites' pages are refused"
    origin = headers.get("origin")
    if origin is not None and urlsplit(origin).netloc.lower() != headers["host"].lower():
        return "without API keys, requests of other sites' pages are refused"
    return None


def _name(host: str) -> str:
    """The name or address in a Host header, without port and brackets; "" when it is malformed."""
    match = re.fullmatch(r"\[([0-9a-fA-F:.]+)\](?::\d{1,5})?|([^:\[\]/@\s]+)(?::\d{1,5})?", host)
    return (match[1] or match[2]) if match else ""


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def is_loopback(name: str) -> bool:
    """Whether a host name or address is this machine's own: localhost, 127.0.0.0/8, ::1."""
    if _is_address(name):
        return ipaddress.ip_address(name).is_loopback
    return name.lower() == "localhost"


def check_host(settings: Settings) -> None:
    """Raises SettingsError for a server without keys that others could reach."""
    if not settings.auth and not is_loopback(settings.api_host):
        raise SettingsError(
            f"TRIPTYCH_API_HOST: {settings.api_host!r} is not loopback, and TRIPTYCH_AUTH is off: without "
            "API keys whoever reaches the port may do everything. Set TRIPTYCH_AUTH=true, or a loopback host"
        )
