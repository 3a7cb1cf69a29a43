"""A fleet with the settings that Triptych has by itself, and where tables go.

Sizes are set by TRIPTYCH_TEST_BENCH_SCALE (a factor on the number of items, 1 by default).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.core.artifact import built_in_digest
from tests.support.fleet import Fleet
from tests.support.measure import machine
from tests.support.servers import RunningS3, RunningValkey, bucket, settings_for

StartFleet = Callable[..., Fleet]
SCALE = float(os.environ.get("TRIPTYCH_TEST_BENCH_SCALE", "1"))


def scaled(count: int) -> int:
    """A number of items for this run."""
    return max(1, round(count * SCALE))


@pytest.fixture(scope="session", autouse=True)
def facts() -> None:
    """Says once where these numbers come from."""
    print(f"\nmachine: {machine()}\ncompression artifact: {built_in_digest('compression')}")


@pytest.fixture
def start_fleet(own_valkey: RunningValkey, own_s3: RunningS3, tmp_path: Path) -> Iterator[StartFleet]:
    """Makes fleets on one pair of servers; a new one takes the place of the one before."""
    running: list[Fleet] = []

    def stop() -> None:
        while running:
            running.pop().stop()

    with bucket(own_s3.place) as name:

        def start(**changes: object) -> Fleet:
            stop()
            logs = tmp_path / f"logs-{len(list(tmp_path.glob('logs-*')))}"
            logs.mkdir()
            fleet = Fleet(settings_for(own_valkey.url, own_s3.place, name, **changes), logs)
            running.append(fleet)
            return fleet

        yield start
        stop()
