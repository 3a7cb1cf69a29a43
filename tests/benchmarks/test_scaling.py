"""Does work grow with workers? 1, 2, 4 and 8 of them on items that sleep and touch no object."""

from __future__ import annotations

from tests.benchmarks.conftest import StartFleet, cpu_of, first_begin_to_last_finish, scaled, warm_up
from tests.support.measure import table

ITEM_S = 0.1
WORKERS = (1, 2, 4, 8)
LEAST = 0.95


def test_scaling(start_fleet: StartFleet) -> None:
    """Eight processes with one thread each do at least 95 % of eight times the work of one."""
    rows = []
    for workers in WORKERS:
        fleet = start_fleet()
        fleet.workers(workers, worker_threads=1)
        warm_up(fleet, "sleep", 20 * workers)
        items = scaled(400) * workers
        before = cpu_of(fleet)
        job_id = fleet.submit("sleep", [f"in/{number}" for number in range(items)], {"seconds": ITEM_S})
        fleet.wait(job_id, 60 + 2 * items * ITEM_S / workers)
        fleet.assert_exact(job_id, items)
        took_s, shards = first_begin_to_last_finish(fleet, job_id)
        cpu_s = (cpu_of(fleet)["device"] - before["device"]) / shards
        rows.append([workers, shards, took_s, items / took_s, items * ITEM_S / workers / took_s, cpu_s * 1e3])
        assert shards >= 20 * workers

    per_worker = [row[3] / row[0] for row in rows]
    for row, rate in zip(rows, per_worker, strict=True):
        row.append(rate / per_worker[0])
    head = ("workers", "shards", "seconds", "items/s", "of ideal", "CPU ms/shard", "of linear")
    print(table(f"scaling: items that sleep {ITEM_S} s, one thread a worker", head, rows))
    assert per_worker[-1] / per_worker[0] >= LEAST
