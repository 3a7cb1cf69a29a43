"""The client against the fake API; waiting between tries takes no time and is written down."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.fake_api import API, KEY, FakeApi
from triptych import Client


@pytest.fixture
def api() -> FakeApi:
    return FakeApi()


@pytest.fixture
def waits() -> list[float]:
    """Seconds that the client would have waited."""
    return []


@pytest.fixture
def client(api: FakeApi, waits: list[float]) -> Iterator[Client]:
    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    with Client(API, KEY, http=api.transport, sleep=sleep) as client:
        yield client


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    """Seven small files of different sizes."""
    folder = tmp_path / "photos"
    folder.mkdir()
    paths = [folder / f"{number}.jpg" for number in range(7)]
    for number, path in enumerate(paths):
        path.write_bytes(bytes([number]) * (number * 1000))
    return paths
