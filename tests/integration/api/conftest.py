"""The API as a process of its own, on real servers."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from pipeline.core.redis_ledger import make_ledger
from pipeline.core.s3 import make_store
from pipeline.core.settings import Settings
from tests.support.servers import environment
from tests.unit.api.world import World
from triptych import servers


@dataclass(frozen=True)
class Running:
    """A running API, and the stores behind it."""

    url: str
    pid: int
    world: World
    stop: Callable[[], int]

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=60)


StartApi = Callable[..., Running]


@pytest.fixture
def start_api(settings: Settings, tmp_path: Path) -> Iterator[StartApi]:
    """Starts `python -m api` with some settings changed; it is gone afterwards."""
    stops: list[Callable[[], int]] = []

    def start(**changes: object) -> Running:
        port = servers.free_port()
        ours = settings.model_copy(update={"api_port": port, **changes})
        url = f"http://127.0.0.1:{port}"
        program = servers.Program(
            "api",
            (sys.executable, "-m", "api"),
            env=environment(ours),
            ready=functools.partial(_answers, url),
        )
        process = servers.start(program, tmp_path / "api.log")
        stop = functools.partial(servers.stop, program, process, grace_s=15)
        stops.append(stop)
        servers.wait_ready(program, process, 30)
        return Running(url, process.pid, World(make_store(ours), make_ledger(ours), ours), stop)

    yield start
    for stop in stops:
        stop()


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=2).status_code == 200
    except httpx.TransportError:
        return False
