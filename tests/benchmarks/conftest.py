"""A fleet with the settings that Triptych has by itself, and where tables go.

Sizes are set by TRIPTYCH_TEST_BENCH_SCALE (a factor on the number of items, 1 by default).
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

import pytest
import redis

from pipeline.core.artifact import built_in_digest
from tests.support.fleet import Fleet
from tests.support.measure import at_s, cpu_seconds, machine
from tests.support.servers import RunningS3, RunningValkey, settings_for

StartFleet = Callable[..., Fleet]
SCALE = float(os.environ.get("TRIPTYCH_TEST_BENCH_SCALE", "1"))


def scaled(count: int) -> int:
    """A number of items for this run."""
    return max(1, round(count * SCALE))


def warm_up(fleet: Fleet, operation: str, items: int) -> None:
    """A short job, so that every process has its connections and the ledger knows the pace."""
    fleet.wait(fleet.submit(operation, [f"warm/{number}" for number in range(items)]), 60)
    time.sleep(0.5)


def first_begin_to_last_finish(fleet: Fleet, job_id: str) -> tuple[float, int]:
    """Seconds from the first shard's begin to the last one's finish, and the number of shards."""
    begun = [at_s(one) for one in fleet.events("device", "entry.begun") if one["job"] == job_id]
    finished = [at_s(one) for one in fleet.events("device", "shard.finished") if one["job"] == job_id]
    return max(finished) - min(begun), len(finished)


def cpu_of(fleet: Fleet, servers: Mapping[str, int] = MappingProxyType({})) -> dict[str, float]:
    """CPU seconds so far of device and control workers, and of servers by their process ids."""
    workers = {kind: sum(map(cpu_seconds, fleet.pids(kind).values())) for kind in ("device", "control")}
    return workers | {name: cpu_seconds(pid) for name, pid in servers.items()}


@pytest.fixture(scope="session", autouse=True)
def facts() -> None:
    """Says once where these numbers come from."""
    print(f"\nmachine: {machine()}")
    for name in ("compression", "stylization", "description"):
        print(f"{name} artifact: {built_in_digest(name)}")


@pytest.fixture
def start_fleet(own_valkey: RunningValkey, own_s3: RunningS3, tmp_path: Path) -> Iterator[StartFleet]:
    """Makes fleets on one pair of servers; a new one takes the place of the one before."""
    running: list[Fleet] = []

    def stop() -> None:
        while running:
            running.pop().stop()

    def start(**changes: object) -> Fleet:
        stop()
        number = len(list(tmp_path.glob("logs-*")))
        logs = tmp_path / f"logs-{number}"
        logs.mkdir()
        bucket = f"triptych-bench-{number}"  # it goes with its server
        own_s3.place.client().make_bucket(bucket)
        with redis.Redis.from_url(own_valkey.url) as client:
            client.flushdb()
        fleet = Fleet(settings_for(own_valkey.url, own_s3.place, bucket, **changes), logs)
        running.append(fleet)
        return fleet

    yield start
    stop()
    own_s3.stop()
    shutil.rmtree(tmp_path / "s3")  # gigabytes, which pytest would keep for three runs
