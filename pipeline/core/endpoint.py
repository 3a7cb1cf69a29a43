"""A remote model behind an OpenAI-compatible API, and the rules for its URL.

The URL is the operator's (TRIPTYCH_ENDPOINT_URL), never a job's: no user decides where a worker connects to.
What a name resolves to is checked again at every connection; see `pipeline.inference.guarded_http`.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True)
class Endpoint:
    """Where a remote model is.

    Attributes:
        url: The API's base, e.g. "https://models.example/v1": `/chat/completions` is below it.
        model: The model's name there.
        api_key: Sent as a bearer token; "" sends none.
        private: The host may be in a private network, or this machine; then plain http is allowed, too.
        languages: What the model writes.
        timeout_s: Of one answer.
    """

    url: str
    model: str
    api_key: str = field(default="", repr=False)
    private: bool = False
    languages: tuple[str, ...] = ("en",)
    timeout_s: float = 60.0

    def __post_init__(self) -> None:
        check_url(self.url, private=self.private)


def check_url(url: str, *, private: bool) -> None:
    """Checks what can be seen of a URL without resolving its host.

    Args:
        url: The base URL.
        private: As for `Endpoint`.

    Raises:
        ValueError: It is none, has parts that it must not have, or leads where it must not.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError("not a URL") from None
    if parts.scheme not in ("https", "http") or not host:
        raise ValueError("not an https:// URL")
    if parts.scheme == "http" and not private:
        raise ValueError("http:// is only for private networks; use https://")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise ValueError("a URL with a user, a query or a fragment is not accepted")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return  # a name: checked when it is resolved
    check_address(address, private=private)


def check_address(address: Address, *, private: bool) -> None:
    """Checks an address that a worker is about to connect to.

    Link-local addresses, where clouds keep their metadata services, are never right; nor are multicast,
    reserved and unspecified ones. IPv4 addresses inside of IPv6 ones are judged as what they are.

    Raises:
        ValueError: It must not be connected to.
    """
    address = _inner(address)
    if address.is_link_local or address.is_multicast or address.is_unspecified:
        raise ValueError(f"{address} is not an address of a server")
    if not (address.is_global or (private and (address.is_private or address.is_loopback))):
        raise ValueError(f"{address} is in a private network")


def _inner(address: Address) -> Address:
    if isinstance(address, ipaddress.IPv6Address):
        # RFC 4291 (mapped), RFC 3056 (6to4), RFC 6052 (64:ff9b::/96)
        if address.ipv4_mapped or address.sixtofour:
            return address.ipv4_mapped or address.sixtofour or address
        if address in ipaddress.ip_network("64:ff9b::/96"):
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address
