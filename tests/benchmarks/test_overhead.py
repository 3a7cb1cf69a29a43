"""What the pipeline costs: get and put 100 KB an item, against a bare loop of the same SDK calls."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.benchmarks.conftest import StartFleet, cpu_of, first_begin_to_last_finish, scaled
from tests.support.fleet import Fleet
from tests.support.measure import at_s, cpu_seconds, table
from tests.support.servers import ROOT, RunningS3, RunningValkey, environment

WORKERS, THREADS = 2, 2
SIZE_BYTES = 100_000
ROUNDS = 3
LEAST = 0.80
SHOWN = ("device", "control", "seaweedfs", "valkey", "bare loop")


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

    rates: dict[str, list[float]] = {"bare loop": [], "job": []}
    cost: dict[str, dict[str, float]] = {
        "bare loop": dict.fromkeys(SHOWN, 0.0),
        "job": dict.fromkeys(SHOWN, 0.0),
    }
    beside = []
    for number in range(ROUNDS):
        for kind in ("bare loop", "job") if number % 2 == 0 else ("job", "bare loop"):
            before = cpu_by_class(fleet, servers)
            if kind == "job":
                job_id = fleet.submit("copy", keys)
                fleet.wait(job_id, 600)
                took_s = first_begin_to_last_finish(fleet, job_id)[0]
                beside.append(plan_and_finalise_s(fleet, job_id))
            else:
                took_s, bare_cpu_s = run_bare(fleet, keys, tmp_path, f"bare/{number}/")
                cost[kind]["bare loop"] += bare_cpu_s
            for name, cpu_s in cpu_by_class(fleet, servers).items():
                cost[kind][name] += cpu_s - before[name]
            rates[kind].append(items / took_s)

    total = ROUNDS * items
    rows = [
        [
            kind,
            *rates[kind],
            statistics.median(rates[kind]),
            *(cost[kind][name] / total * 1e3 for name in SHOWN),
        ]
        for kind in rates
    ]
    head = ("", *(f"round {n + 1}" for n in range(ROUNDS)), "median", *SHOWN)
    title = (
        f"overhead: {items} items of {SIZE_BYTES // 1000} KB a round, "
        f"{WORKERS} processes x {THREADS} threads; "
        "items/s, and CPU ms an item by process class"
    )
    print(table(title, head, rows))
    names = ("plan s", "finalise s")
    print(table("beside it, per job", names, [[statistics.median(v) for v in zip(*beside, strict=True)]]))
    ratio = statistics.median(j / b for j, b in zip(rates["job"], rates["bare loop"], strict=True))
    print(f"ratio job / bare loop, median of rounds: {ratio:.3f}")
    assert ratio >= LEAST


def put_inputs(fleet: Fleet, count: int) -> list[str]:
    keys = [f"in/{number:06d}.bin" for number in range(count)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda key: fleet.store.put(key, os.urandom(SIZE_BYTES)), keys))
    return keys


def run_bare(fleet: Fleet, keys: list[str], directory: Path, prefix: str) -> tuple[float, float]:
    """Runs the bare loop in as many processes and threads: wall seconds, CPU seconds."""
    processes = []
    for number in range(WORKERS):
        listed = directory / f"keys{number}"
        listed.write_text("\n".join(keys[number::WORKERS]))
        argv = [sys.executable, "-m", "tests.support.bare_copy", str(THREADS), str(listed), prefix]
        processes.append(
            subprocess.Popen(
                argv,
                cwd=ROOT,
                env=environment(fleet.settings),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        )
    answers = [process.stdout.readline() for process in processes if process.stdout]
    assert answers == ["ready\n"] * WORKERS
    for process in processes:
        assert process.stdin
        process.stdin.write("\n")
        process.stdin.flush()
    ends = [list(map(float, process.communicate(timeout=600)[0].split())) for process in processes]
    return max(end[1] for end in ends) - min(end[0] for end in ends), sum(end[2] for end in ends)


def cpu_by_class(fleet: Fleet, servers: dict[str, int]) -> dict[str, float]:
    """CPU seconds so far of each class of processes."""
    return cpu_of(fleet) | {name: cpu_seconds(pid) for name, pid in servers.items()}


def plan_and_finalise_s(fleet: Fleet, job_id: str) -> tuple[float, float]:
    """Seconds that the control worker took to plan and to finalise."""
    mine = [one for one in fleet.events("control") if one.get("job") == job_id]
    begun = {one["entry"]: at_s(one) for one in mine if one["event"] == "entry.begun"}
    ends = {one["event"]: at_s(one) for one in mine}
    return ends["job.planned"] - begun["plan"], ends["job.ended"] - begun["finalise"]
