"""Markers from folders, a clean environment, and real servers.

TRIPTYCH_TEST_REDIS_URL names a server of your own; its database must be empty and is emptied again and again.
TRIPTYCH_TEST_S3_URL, TRIPTYCH_TEST_S3_ACCESS_KEY and TRIPTYCH_TEST_S3_SECRET_KEY name an S3 server of your
own; each test makes a bucket and removes it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from pipeline.core.settings import Settings
from tests.support.servers import RunningS3, RunningValkey, S3Place, bucket, settings_for

FOLDERS = Path(__file__).parent
ASKED_FOR_ONLY = ("benchmarks", "gpu")


def pytest_configure(config: pytest.Config) -> None:
    """Takes TRIPTYCH_* and .env away, before any module can read them."""
    for name in [name for name in os.environ if name.startswith("TRIPTYCH_")]:
        if not name.startswith("TRIPTYCH_TEST_"):
            del os.environ[name]
    Settings.model_config["env_file"] = None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Marks each test by its folder, and leaves out what runs only when `-m` names it."""
    for item in items:
        folder = item.path.relative_to(FOLDERS).parts[0]
        item.add_marker(folder)
    asked = config.option.markexpr
    left_out = {marker for marker in ASKED_FOR_ONLY if marker not in asked}
    kept = [item for item in items if not any(item.get_closest_marker(marker) for marker in left_out)]
    if len(kept) < len(items):
        config.hook.pytest_deselected(items=[item for item in items if item not in kept])
        items[:] = kept


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real Valkey or Redis server for the whole session."""
    url = os.environ.get("TRIPTYCH_TEST_REDIS_URL")
    if url:
        with redis.Redis.from_url(url) as client:
            assert client.dbsize() == 0, "the database of TRIPTYCH_TEST_REDIS_URL is not empty"
            yield url
            client.flushdb()
        return
    server = RunningValkey(tmp_path_factory.mktemp("valkey"))
    yield server.url
    server.stop()


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Place]:
    """A real S3 server for the whole session."""
    url = os.environ.get("TRIPTYCH_TEST_S3_URL")
    if url:
        keys = [os.environ[f"TRIPTYCH_TEST_S3_{name}_KEY"] for name in ("ACCESS", "SECRET")]
        yield S3Place(url, *keys)
        return
    server = RunningS3(tmp_path_factory.mktemp("s3"))
    yield server.place
    server.stop()


@pytest.fixture
def settings(redis_url: str, s3: S3Place) -> Iterator[Settings]:
    """Settings for a fresh bucket and an empty Redis database."""
    with redis.Redis.from_url(redis_url) as client:
        client.flushdb()
        with bucket(s3) as name:
            yield settings_for(redis_url, s3, name)
        client.flushdb()


@pytest.fixture
def own_valkey(tmp_path: Path) -> Iterator[RunningValkey]:
    """A Valkey server that this test may kill, restart and empty."""
    server = RunningValkey(tmp_path / "valkey")
    yield server
    server.stop()


@pytest.fixture
def own_s3(tmp_path: Path) -> Iterator[RunningS3]:
    """An S3 server that this test may kill and restart."""
    server = RunningS3(tmp_path / "s3")
    yield server
    server.stop()
