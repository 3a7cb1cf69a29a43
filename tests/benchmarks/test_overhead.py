"""What the pipeline costs: get and put 100 KB an item, against a bare loop of the same SDK calls."""

from __future__ import annotations

import os
import statistics
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.benchmarks.conftest import StartFleet, first_begin_to_last_finish, scaled
from tests.benchmarks.in_turn import run_in_turn
from tests.support.bare import run_together
from tests.support.fleet import Fleet
from tests.support.measure import at_s, table
from tests.support.servers import RunningS3, RunningValkey, environment

WORKERS, THREADS = 2, 2
SIZE_BYTES = 100_000
LEAST = 0.80


@pytest.mark.timeout(1800)
def test_overhead(
    start_fleet: StartFleet, own_s3: RunningS3, own_valkey: RunningValkey, tmp_path: Path
) -> None:
    """A job runs at 80 % or more of the rate of a bare loop in as many threads and processes."""
    items = scaled(4000)
    fleet = start_fleet()
    keys = put_inputs(fleet, items)
    fleet.workers(WORKERS, worker_threads=THREADS)
    fleet.wait(fleet.submit("copy", keys[:200]), 120)
    servers = {"seaweedfs": own_s3.pid, "valkey": own_valkey.pid}
    run_bare(fleet, keys[:200], tmp_path, "warm/")

    beside = []

    def job() -> float:
        job_id = fleet.submit("copy", keys)
        fleet.wait(job_id, 600)
        beside.append(plan_and_finalise_s(fleet, job_id))
        return first_begin_to_last_finish(fleet, job_id)[0]

    def bare(number: int) -> tuple[float, float]:
        return run_bare(fleet, keys, tmp_path, f"bare/{number}/")

    measured = run_in_turn(fleet, servers, items, job=job, bare=bare)
    size = f"{items} items of {SIZE_BYTES // 1000} KB a round, {WORKERS} processes x {THREADS} threads"
    print(measured.shown(f"overhead: {size}"))
    names = ("plan s", "finalise s")
    print(table("beside it, per job", names, [[statistics.median(v) for v in zip(*beside, strict=True)]]))
    assert measured.ratio >= LEAST


def put_inputs(fleet: Fleet, count: int) -> list[str]:
    keys = [f"in/{number:06d}.bin" for number in range(count)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda key: fleet.store.put(key, os.urandom(SIZE_BYTES)), keys))
    return keys


def run_bare(fleet: Fleet, keys: list[str], directory: Path, prefix: str) -> tuple[float, float]:
    """Runs the bare loop in as many processes and threads: wall seconds, CPU seconds."""
    arguments = []
    for number in range(WORKERS):
        listed = directory / f"keys{number}"
        listed.write_text("\n".join(keys[number::WORKERS]))
        arguments.append([str(THREADS), str(listed), prefix])
    return run_together("tests.support.bare_copy", arguments, environment(fleet.settings))


def plan_and_finalise_s(fleet: Fleet, job_id: str) -> tuple[float, float]:
    """Seconds that the control worker took to plan and to finalise."""
    mine = [one for one in fleet.events("control") if one.get("job") == job_id]
    begun = {one["entry"]: at_s(one) for one in mine if one["event"] == "entry.begun"}
    ends = {one["event"]: at_s(one) for one in mine}
    return ends["job.planned"] - begun["plan"], ends["job.ended"] - begun["finalise"]
