"""HTTP to an operator's endpoint, and to nothing else that its name may lead to.

The name is resolved here, every address is checked, and the connection goes to the one that was checked: a
name whose answer changes between look and connect (DNS rebinding) gains nothing. No redirects, no proxies of
the environment.
"""

from __future__ import annotations

import ipaddress
import json
import socket
import ssl
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import SplitResult, urlsplit

import httpx

from pipeline.core.endpoint import Address, Endpoint, check_address
from pipeline.core.errors import EndpointRefused, EndpointUnavailable

MOST_ANSWER_BYTES = 1 << 20
_CONNECT_S = 5.0
_BUSY = (408, 425, 429, 500, 502, 503, 504)
Resolve = Callable[[str, int], Sequence[str]]


def resolve(host: str, port: int) -> list[str]:
    """Addresses of a host, in the system's order.

    Raises:
        OSError: It has none.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]).partition("%")[0] for *_, address in found))


class GuardedClient:
    """Posts JSON to one endpoint. Threads may share it.

    Args:
        endpoint: Where to.
        transport: Replaces the network, for tests.
        trust: Replaces the certificates that are trusted, for tests.
        resolver: Replaces the system's resolver, for tests.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        transport: httpx.BaseTransport | None = None,
        trust: ssl.SSLContext | None = None,
        resolver: Resolve = resolve,
    ) -> None:
        self._endpoint = endpoint
        self._resolve = resolver
        headers = {"Authorization": f"Bearer {endpoint.api_key}"} if endpoint.api_key else {}
        self._client = httpx.Client(
            transport=transport,
            verify=trust or True,
            timeout=httpx.Timeout(endpoint.timeout_s, connect=_CONNECT_S),
            follow_redirects=False,
            trust_env=False,
            headers=headers,
        )

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """The JSON of an answer.

        Args:
            path: Below the endpoint's URL, e.g. "/chat/completions".
            body: What is sent as JSON.

        Raises:
            EndpointUnavailable: It was not reached, was too slow, or too busy.
            EndpointRefused: It leads where it must not, refused, or did not answer JSON.
        """
        url = urlsplit(self._endpoint.url)
        host = url.hostname or ""
        port = url.port or (443 if url.scheme == "https" else 80)
        *others, last = self._checked_addresses(host, port)
        for address in others:
            try:
                return self._sent(url, path, body, address=address, port=port)
            except httpx.ConnectError:
                continue  # one of several may be out of reach
            except httpx.HTTPError as error:
                raise _silent(error) from error
        try:
            return self._sent(url, path, body, address=last, port=port)
        except httpx.HTTPError as error:
            raise _silent(error) from error

    def _sent(self, url: SplitResult, path: str, body: dict[str, Any], *, address: Address, port: int) -> Any:
        literal = f"[{address}]" if address.version == 6 else str(address)
        request = self._client.build_request(
            "POST",
            f"{url.scheme}://{literal}:{port}{url.path}{path}",
            json=body,
            headers={"Host": url.netloc},
            extensions={"sni_hostname": url.hostname or ""},  # the certificate must be the name's
        )
        answer = self._client.send(request, stream=True)
        try:
            return self._json(answer)
        finally:
            answer.close()

    def _checked_addresses(self, host: str, port: int) -> list[Address]:
        try:
            found = [ipaddress.ip_address(one) for one in self._resolve(host, port)]
        except (OSError, UnicodeError, ValueError) as error:
            raise EndpointUnavailable("the remote model's name cannot be resolved") from error
        if not found:
            raise EndpointUnavailable("the remote model's name has no address")
        for address in found:
            try:
                check_address(address, private=self._endpoint.private)
            except ValueError as error:
                raise EndpointRefused(
                    "the remote model's name leads into a private network, which is not allowed here"
                    " (TRIPTYCH_ENDPOINT_PRIVATE)"
                ) from error
        return found

    def _json(self, answer: httpx.Response) -> Any:
        if answer.status_code in _BUSY:
            raise EndpointUnavailable(f"the remote model answered {answer.status_code}")
        if answer.status_code != 200:  # redirects, too
            raise EndpointRefused(f"the remote model answered {answer.status_code}")
        body = bytearray()
        for chunk in answer.iter_bytes():
            body += chunk
            if len(body) > MOST_ANSWER_BYTES:
                raise EndpointRefused("the remote model's answer is too long")
        try:
            return json.loads(bytes(body))
        except (ValueError, RecursionError) as error:
            raise EndpointRefused("the remote model's answer is not JSON") from error


def _silent(error: httpx.HTTPError) -> EndpointUnavailable:
    return EndpointUnavailable(f"the remote model did not answer ({type(error).__name__})")
