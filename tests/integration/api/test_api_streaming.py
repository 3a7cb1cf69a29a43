"""Bodies and streams that only a real server and a real store can break."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from pipeline.core.settings import Settings
from tests.integration.api.conftest import Running, StartApi
from tests.support.servers import S3Place, environment
from tests.unit.api.world import body

GIB = 2**30
MIB = 2**20


def resident_bytes(pid: int) -> int:
    """Resident memory of a process."""
    match = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert match
    return int(match[1]) * 1024


class Sampler(threading.Thread):
    """Watches a process's resident memory."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid = pid
        self._done = threading.Event()
        self.before = self.peak = resident_bytes(pid)

    def run(self) -> None:
        while not self._done.wait(0.02):
            self.peak = max(self.peak, resident_bytes(self._pid))

    def __enter__(self) -> Sampler:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self.join()


def declare(client: httpx.Client, size_bytes: int) -> dict[str, Any]:
    answer = client.post("/v1/uploads", json={"files": [{"name": "big.tif", "size_bytes": size_bytes}]})
    assert answer.status_code == 201, answer.text
    page: dict[str, Any] = answer.json()
    return page


def made(size_bytes: int, chunk: bytes) -> Iterator[bytes]:
    for _ in range(size_bytes // len(chunk)):
        yield chunk


def unfinished(s3: S3Place, running: Running) -> int:
    """How many multipart uploads were begun and neither completed nor aborted."""
    bucket = running.world.settings.s3_bucket
    return len(s3.client()._list_multipart_uploads(bucket).uploads)


def wait_for(condition: Any, timeout_s: float = 10) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


def test_a_gigabyte_passes_through(start_api: StartApi) -> None:
    """A 1 GiB upload through the API moves its resident memory by less than 100 MB, and arrives whole."""
    running = start_api(s3_public_url=None, max_input_bytes=2 * GIB)
    chunk = os.urandom(MIB)
    with running.client() as client:
        page = declare(client, GIB)
        client.put(declare(client, MIB)["files"][0]["url"], content=chunk)  # warm
        with Sampler(running.pid) as sampler:
            url = page["files"][0]["url"]
            answer = client.put(url, content=made(GIB, chunk), headers={"Content-Length": str(GIB)})
        assert answer.status_code == 204, answer.text
        grown = sampler.peak - sampler.before
        assert grown < 100 * MIB, f"{grown / MIB:.0f} MiB"
        shown = client.get(f"/v1/uploads/{page['upload_id']}/pages/0").json()
    assert shown["files"][0]["stored"]
    key = f"owners/local/uploads/{page['upload_id']}/files/000000/000000"
    for offset in (0, 5 * MIB - 1, GIB - MIB):
        expected = (chunk + chunk)[offset % MIB :][:MIB]
        assert running.world.store.get_range(key, offset, MIB) == expected


def test_a_body_over_the_limit_leaves_nothing(start_api: StartApi, s3: S3Place) -> None:
    """An upload over the limit gets 413, and nothing of it is stored."""
    running = start_api(s3_public_url=None, max_input_bytes=8 * MIB)
    with running.client() as client:
        page = declare(client, 8 * MIB)
        size = 9 * MIB
        headers = {"Content-Length": str(size)}
        answer = client.put(page["files"][0]["url"], content=made(size, b"x" * MIB), headers=headers)
    assert answer.status_code == 413
    assert answer.json()["code"] == "body_too_large"
    assert not running.world.keys(f"owners/local/uploads/{page['upload_id']}/files/")
    assert unfinished(s3, running) == 0


def test_a_client_that_goes_away_leaves_nothing(start_api: StartApi, s3: S3Place, tmp_path: Path) -> None:
    """A client that goes away in the middle of a file aborts its multipart upload."""
    running = start_api(s3_public_url=None)
    size = 64 * MIB
    with running.client() as client:
        page = declare(client, size)
        head = f"PUT {page['files'][0]['url']} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size}\r\n\r\n"
        place = urlsplit(running.url)
        with socket.create_connection((place.hostname, place.port)) as connection:
            connection.sendall(head.encode())
            for _ in range(size // MIB // 2):
                connection.sendall(b"x" * MIB)
            wait_for(lambda: unfinished(s3, running) == 1)
        wait_for(lambda: '"status": 499' in (tmp_path / "api.log").read_text())
        assert unfinished(s3, running) == 0
        assert not running.world.keys(f"owners/local/uploads/{page['upload_id']}/files/")
        assert client.get("/readyz").status_code == 200


def test_presigned_urls(start_api: StartApi) -> None:
    """Where clients reach the store, they put and get there, and the API only says where."""
    running = start_api()
    with running.client() as client:
        page = declare(client, 3)
        url = page["files"][0]["url"]
        assert url.startswith(running.world.settings.s3_public_url or "-")
        assert httpx.put(url, content=b"abc").status_code == 200
        assert client.get(f"/v1/uploads/{page['upload_id']}/pages/0").json()["files"][0]["stored"]
        other = url.replace("000000/000000", "000000/000001")
        assert httpx.put(other, content=b"abc").status_code == 403


def test_slow_uploads_hold_up_nobody(start_api: StartApi) -> None:
    """More uploads that do not come on than the API takes at a time leave every other request alone."""
    running = start_api(s3_public_url=None)
    place = urlsplit(running.url)
    with running.client() as client:
        url = declare(client, MIB)["files"][0]["url"]
        head = f"PUT {url} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {MIB}\r\n\r\nx".encode()
        connections = [socket.create_connection((place.hostname, place.port)) for _ in range(50)]
        try:
            for connection in connections:
                connection.sendall(head)
            time.sleep(0.5)
            started = time.monotonic()
            assert client.get("/v1/jobs").status_code == 200
            assert time.monotonic() - started < 2
        finally:
            for connection in connections:
                connection.close()


def test_a_stream_of_events_ends_with_the_server(start_api: StartApi, tmp_path: Path) -> None:
    """SIGTERM ends a server with open event streams in good order and within seconds."""
    running = start_api()
    with running.client() as client:
        job = client.post("/v1/jobs", json=body()).json()
        with client.stream("GET", f"/v1/jobs/{job['id']}/events") as stream:
            lines = stream.iter_lines()
            assert next(lines) == "event: progress"
            started = time.monotonic()
            assert running.stop() == -signal.SIGTERM  # uvicorn ends by the signal, once all else is done
            assert time.monotonic() - started < 5
    assert "api.stopped" in (tmp_path / "api.log").read_text()


def test_a_job_reaches_the_broker(start_api: StartApi) -> None:
    """A job that was accepted has its plan in the control queue when the answer comes."""
    running = start_api()
    with running.client() as client:
        job = client.post("/v1/jobs", json=body()).json()
    assert running.world.ledger.backlog()["control"] == (0, 1)
    view = running.world.ledger.job(job["id"])
    assert view is not None
    assert view.operation == "copy"


@pytest.mark.parametrize("changes", [{"api_host": "0.0.0.0"}, {"lease_max_s": 600.0}])
def test_it_does_not_start_with_wrong_settings(settings: Settings, changes: dict[str, Any]) -> None:
    """Wrong settings end the process with exit code 78 and the name of the setting."""
    env = environment(settings.model_copy(update=changes))
    argv = [sys.executable, "-m", "api"]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 78
    assert "TRIPTYCH_" in done.stderr
    assert "Traceback" not in done.stderr
