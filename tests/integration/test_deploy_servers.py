"""The servers of deploy/compose.yaml, started with the very commands that stand there."""

from __future__ import annotations

import io
import os
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from minio import Minio
from minio.error import S3Error

from tests.support.compose import compose, fresh_variables
from tests.support.servers import RunningServer
from triptych import servers

OUTSIDE = "127.0.0.2"  # stands for the network that containers share: not the address of the inner ports
INNER = ("master.port", "volume.port", "filer.port")


@pytest.fixture
def variables() -> dict[str, str]:
    return fresh_variables()


@pytest.fixture
def valkey_port(tmp_path: Path, variables: dict[str, str]) -> Iterator[tuple[int, RunningServer]]:
    """Valkey from its wheel, under the command of the Compose file."""
    service = compose(variables)["services"]["valkey"]
    port = servers.free_port()
    programs = tmp_path / "bin"
    programs.mkdir()
    installed = Path(servers.valkey(tmp_path / "unused").program.argv[0])
    (programs / "valkey-server").symlink_to(installed)
    data = tmp_path / "data"
    data.mkdir()
    shell, flag, script = service["command"]
    script = script.replace("--dir /data", f"--dir {data} --port {port} --bind 127.0.0.1")
    program = servers.Program(
        "valkey",
        (f"/bin/{shell}", flag, script),
        env={**service["environment"], "PATH": f"{programs}:{os.environ['PATH']}"},
        ready=lambda: _connects("127.0.0.1", port),
    )
    server = RunningServer(program, tmp_path / "valkey")
    yield port, server
    server.stop()


def test_valkey_asks_for_its_password_and_keeps_what_it_is_told(
    valkey_port: tuple[int, RunningServer], variables: dict[str, str]
) -> None:
    """No password, no answer; the append-only file is on, nothing is evicted, SIGTERM reaches the server."""
    port, server = valkey_port
    with redis.Redis(port=port) as stranger, pytest.raises(redis.AuthenticationError):
        stranger.ping()
    with redis.Redis(port=port, password=variables["VALKEY_PASSWORD"]) as client:
        config = client.config_get("*")
        assert (config["appendonly"], config["maxmemory-policy"], config["save"]) == ("yes", "noeviction", "")
        assert client.info()["process_id"] == server.pid
        client.set("kept", "yes")
        assert client.waitaof(1, 0, 2000)[0] == 1
    server.restart()
    with redis.Redis(port=port, password=variables["VALKEY_PASSWORD"]) as client:
        assert client.get("kept") == b"yes"


@pytest.fixture
def weed_ports(tmp_path: Path, variables: dict[str, str]) -> Iterator[dict[str, int]]:
    """SeaweedFS from its wheel, under the command of the Compose file; ports are free ones."""
    service = compose(variables)["services"]["seaweedfs"]
    names = ("s3.port", "s3.port.grpc", *(f"{name}{twin}" for name in INNER for twin in ("", ".grpc")))
    ports = dict(zip(names, servers.free_ports(len(names)), strict=True))
    replaced = {"-dir=/data": f"-dir={tmp_path}", "-s3.ip.bind=0.0.0.0": f"-s3.ip.bind={OUTSIDE}"}
    # One or the other: the directory of this test may itself lie under /tmp.
    command = [replaced.get(text, text.replace("=/tmp/", f"={tmp_path}/")) for text in service["command"]]
    installed = servers.seaweedfs(tmp_path / "unused").program.argv[0]
    program = servers.Program(
        "seaweedfs",
        (installed, *command, *(f"-{name}={port}" for name, port in ports.items())),
        env=service["environment"],
        ready=lambda: _answers(OUTSIDE, ports["s3.port"], "healthz") == 200,
    )
    server = RunningServer(program, tmp_path / "weed")
    yield ports
    server.stop()


def test_seaweedfs_serves_its_keys_alone_and_hides_its_inner_ports(
    weed_ports: dict[str, int], variables: dict[str, str]
) -> None:
    """S3 works with the keys of .env and no others; master, volumes and filer stay on loopback, signed."""
    address = f"{OUTSIDE}:{weed_ports['s3.port']}"
    access, secret = variables["TRIPTYCH_S3_ACCESS_KEY"], variables["TRIPTYCH_S3_SECRET_KEY"]
    client = Minio(address, access, secret, secure=False, region="us-east-1")
    client.make_bucket("triptych")
    client.put_object("triptych", "a/b", io.BytesIO(b"bytes"), 5)
    assert client.get_object("triptych", "a/b").read() == b"bytes"
    for wrong in (Minio(address, access, "wrong", secure=False), Minio(address, secure=False)):
        with pytest.raises(S3Error):
            wrong.list_buckets()
    for name, port in weed_ports.items():
        assert _connects(OUTSIDE, port) == name.startswith("s3."), name
    assert _answers("127.0.0.1", weed_ports["filer.port"], "buckets/triptych/a/b") == 401
    assert _answers("127.0.0.1", weed_ports["volume.port"], "1,00000000") in (401, 404)


def _connects(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True


def _answers(host: str, port: int, path: str) -> int:
    """HTTP status, 0 when nobody answers."""
    try:
        with urllib.request.urlopen(f"http://{host}:{port}/{path}", timeout=2) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code
    except OSError:
        return 0
