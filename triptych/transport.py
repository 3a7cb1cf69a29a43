"""Requests that are tried again while trying again may help, and errors that say what went wrong."""

from __future__ import annotations

import asyncio
import ipaddress
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import httpx

T = TypeVar("T")

TRIES = 6
RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})
LONGEST_WAIT_S = 8.0
LONGEST_RETRY_AFTER_S = 60.0
TIMEOUT = httpx.Timeout(30, connect=10)


class ApiError(Exception):
    """The server refused a request.

    Attributes:
        status: HTTP status.
        code: Stable code of the problem, e.g. "invalid_params".
        message: A sentence for the user.
        request_id: Names the request in the server's log.
        retry_after_s: When the server asked to be left alone for a while.
    """

    def __init__(
        self, status: int, code: str, message: str, request_id: str = "", retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message
        self.request_id, self.retry_after_s = request_id, retry_after_s


class Unreachable(Exception):
    """No answer, however often it was tried."""


class Transport:
    """Two connection pools: one to the API, with the key, and one to the object store, without it.

    Args:
        base_url: Where the API is.
        api_key: Sent to the API only.
        http: Replaces the network, for tests.
        sleep: Replaces waiting, for tests.

    Raises:
        Unreachable: `base_url` is no address.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str | None = None,
        *,
        http: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self._sleep = sleep
        # A proxy of the environment cannot reach this machine's own loopback.
        trust_env = not _is_loopback(_host(self.base_url))
        limits = httpx.Limits(max_connections=32, max_keepalive_connections=32)
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self.api = httpx.AsyncClient(
            base_url=self.base_url,
            headers=headers,
            timeout=TIMEOUT,
            limits=limits,
            transport=http,
            trust_env=trust_env,
        )
        self._store = httpx.AsyncClient(timeout=TIMEOUT, limits=limits, transport=http, trust_env=trust_env)

    async def close(self) -> None:
        await self.api.aclose()
        await self._store.aclose()

    def side(self, url: str) -> httpx.AsyncClient:
        """Who may ask for this URL: the API's pool for paths, the store's, which has no key, for the rest."""
        return self.api if url.startswith("/") else self._store

    async def json(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        params: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """What the API answers, parsed (None for an empty answer)."""
        answer = await self.ask(method, path, body=body, params=params, headers=headers)
        return answer.json() if answer.content else None

    async def ask(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        params: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """The API's answer.

        Raises:
            ApiError: The server refused.
            Unreachable: It did not answer.
        """

        async def attempt() -> httpx.Response:
            answer = await self.api.request(method, path, json=body, params=params, headers=headers)
            raise_for_problem(answer)
            return answer

        return await self.retrying(attempt)

    async def retrying(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Awaits `attempt` until it succeeds, fails for good, or has failed TRIES times.

        Raises:
            ApiError: The last refusal.
            Unreachable: The connection failed every time.
        """
        failures = 0
        while True:
            failures += 1
            try:
                return await attempt()
            except ApiError as error:
                if error.status not in RETRIED or failures == TRIES:
                    raise
                asked_s = error.retry_after_s
            except httpx.TransportError as error:
                hopeless = isinstance(error, (httpx.UnsupportedProtocol, httpx.LocalProtocolError))
                if hopeless or failures == TRIES:
                    raise Unreachable(f"no answer from {self.base_url}: {describe(error)}") from error
                asked_s = None
            await self._sleep(back_off_s(failures, asked_s))


def back_off_s(failures: int, asked_s: float | None = None) -> float:
    """Seconds to wait after so many failures: doubling up to 8, half of it chance; what was asked wins."""
    if asked_s is not None:
        return min(asked_s, LONGEST_RETRY_AFTER_S)
    return float(min(LONGEST_WAIT_S, 0.25 * 2**failures)) * random.uniform(0.5, 1)


def raise_for_problem(answer: httpx.Response) -> None:
    """Raises ApiError if the answer (read in full) is an error."""
    if answer.status_code < 400:
        return
    code, message, request_id = "", "", answer.headers.get("X-Request-Id", "")
    if "json" in answer.headers.get("Content-Type", ""):
        try:
            problem = answer.json()
        except ValueError:
            problem = None
        if isinstance(problem, dict):
            code = str(problem.get("code") or "")
            message = str(problem.get("detail") or problem.get("title") or "")
            request_id = str(problem.get("request_id") or request_id)
    raise ApiError(
        answer.status_code,
        code or f"http_{answer.status_code}",
        message or f"{answer.request.url.host} answered {answer.status_code} {answer.reason_phrase}".rstrip(),
        request_id,
        _retry_after_s(answer.headers.get("Retry-After", "")),
    )


def describe(error: Exception) -> str:
    """An exception in words, for those of httpx that have none of their own."""
    return str(error) or type(error).__name__


def _retry_after_s(text: str) -> float | None:
    return float(text) if text.isdecimal() else None  # the form with a date is rare: our own back-off serves


def _host(url: str) -> str:
    try:
        return httpx.URL(url).host
    except httpx.InvalidURL as error:
        raise Unreachable(f"not an address: {url} ({error})") from error


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
