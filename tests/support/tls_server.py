"""An HTTPS server for tests, with a certificate of its own for "models.test", good for a hundred years."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

NAME = "models.test"
# Made for these tests: it protects nothing.
PEM = """-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg3nEjp+2UYZGW7I8t
rAK1meWcE+499lVf8prkaQvc9j+hRANCAARU+JAQzYFpx20BTnevWotv0AP3H7vi
KECrTLeWN9Frjy/EfT31ohXuE3eKKbxmskoZMGheeXWNQCLPLIX5jR6O
-----END PRIVATE KEY-----
-----BEGIN CERTIFICATE-----
MIIBmzCCAUGgAwIBAgIUZenxSLZnmTnM9pottcxW6w8BXj4wCgYIKoZIzj0EAwIw
FjEUMBIGA1UEAwwLbW9kZWxzLnRlc3QwIBcNMjYxMTI1MDAxNzMwWhgPMjEyNjEx
MDEwMDE3MzBaMBYxFDASBgNVBAMMC21vZGVscy50ZXN0MFkwEwYHKoZIzj0CAQYI
KoZIzj0DAQcDQgAEVPiQEM2BacdtAU53r1qLb9AD9x+74ihAq0y3ljfRa48vxH09
9aIV7hN3iim8ZrJKGTBoXnl1jUAizyyF+Y0ejqNrMGkwHQYDVR0OBBYEFKpDBtqA
Qbh9+kWXBBupn0O7ZHe8MB8GA1UdIwQYMBaAFKpDBtqAQbh9+kWXBBupn0O7ZHe8
MA8GA1UdEwEB/wQFMAMBAf8wFgYDVR0RBA8wDYILbW9kZWxzLnRlc3QwCgYIKoZI
zj0EAwIDSAAwRQIgaa4oJEMKRA77oiFp3HS5+IzK4Qv/U0cuqZt1eTZvXM0CIQDo
v/tHoJ/RAYvviU1I3oGAqp351EF5mKNQC+HOKHJkGw==
-----END CERTIFICATE-----
"""


@dataclass
class Served:
    """A running server.

    Attributes:
        port: Of 127.0.0.1.
        hosts: The Host header of each request.
        names: The name that each connection asked for by SNI.
    """

    port: int = 0
    hosts: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)


@contextmanager
def https_server(answer: bytes, pem: Path) -> Iterator[Served]:
    """Answers every POST with these bytes; the certificate is put into `pem`, to be trusted."""
    pem.write_text(PEM)
    served = Served()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            served.hosts.append(self.headers["Host"])
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Keeps quiet."""

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    context.sni_callback = lambda _socket, name, _context: served.names.append(name or "")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    served.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
