"""Does work grow with workers? 1, 2, 4 and 8 of them on items that sleep and touch no object."""

from __future__ import annotations

import time

from tests.benchmarks.conftest import StartFleet, scaled
from tests.support.fleet import Fleet
from tests.support.measure import at_s, cpu_seconds, table

ITEM_S = 0.1
WORKERS = (1, 2, 4, 8)
LEAST = 0.95


def test_scaling(start_fleet: StartFleet) -> None:
    """Eight processes with one thread each do at least 95 % of eight times the work of one."""
    rows = []
    for workers in WORKERS:
        fleet = start_fleet(shard_target_s=1.0)
        fleet.workers(workers, worker_threads=1)
        warm_up(fleet, workers)
        items = scaled(200) * workers
        job_id = fleet.submit("sleep", [f"in/{number}" for number in range(items)], {"seconds": ITEM_S})
        fleet.wait(job_id, 60 + 2 * items * ITEM_S / workers)
        fleet.assert_exact(job_id, items)
        took_s, shards = first_begin_to_last_finish(fleet, job_id)
        cpu_s = sum(cpu_seconds(pid) for pid in fleet.pids("device").values()) / shards
        rows.append([workers, shards, took_s, items / took_s, items * ITEM_S / workers / took_s, cpu_s * 1e3])
        assert shards >= 20 * workers

    per_worker = [row[3] / row[0] for row in rows]
    for row, rate in zip(rows, per_worker, strict=True):
        row.append(rate / per_worker[0])
    head = ("workers", "shards", "seconds", "items/s", "of ideal", "CPU ms/shard", "of linear")
    print(table(f"scaling: items that sleep {ITEM_S} s, one thread a worker", head, rows))
    assert per_worker[-1] / per_worker[0] >= LEAST


def warm_up(fleet: Fleet, workers: int) -> None:
    """A short job, so that every process has its connections and the ledger knows the pace."""
    keys = [f"warm/{number}" for number in range(20 * workers)]
    fleet.wait(fleet.submit("sleep", keys, {"seconds": ITEM_S}), 60)
    time.sleep(0.5)


def first_begin_to_last_finish(fleet: Fleet, job_id: str) -> tuple[float, int]:
    """Seconds from the first shard's begin to the last one's finish, and the number of shards."""
    begun = [at_s(one) for one in fleet.events("device", "entry.begun") if one["job"] == job_id]
    finished = [at_s(one) for one in fleet.events("device", "shard.finished") if one["job"] == job_id]
    return max(finished) - min(begun), len(finished)
