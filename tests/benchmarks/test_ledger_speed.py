"""What the ledger costs a call, and how many empty shards go through one and two workers."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

from pipeline.core.keys import ResultName
from pipeline.core.ledger import Beat, Finish, Lease, LedgerJob, Sending
from pipeline.core.queue import queue_name
from tests.benchmarks.conftest import StartFleet, cpu_of, first_begin_to_last_finish, scaled, warm_up
from tests.support.measure import table

QUEUE = queue_name("bulk", "cpu")
CALLS = 500
LEAST_SHARDS_PER_S = 50


def test_ledger_calls(start_fleet: StartFleet) -> None:
    """Each call of a shard's life takes less than 5 ms, with 10,000 shards waiting."""
    fleet = start_fleet()
    ledger, job_id = fleet.ledger, "job_" + "0" * 32
    ledger.confirm()
    ledger.beat(Beat("bench", (QUEUE,), 10**6, ("noop",), "cpu"))
    ledger.enter(LedgerJob(job_id, "ann", QUEUE, "noop", time.time()))
    ledger.planned(job_id, "plan", 10_000, 10_000)
    sendings = iter(ledger.dispatch(QUEUE, 10**6 - CALLS))  # room for so many
    leases: list[Lease] = []

    def begin() -> None:
        one: Sending = next(sendings)
        lease = ledger.begin(one.job_id, one.entry, one.token, worker="bench", nonce=one.token)
        assert isinstance(lease, Lease)
        leases.append(lease)

    def finish() -> None:
        lease = leases.pop()
        name = str(ResultName(lease.token, 1, 0, 0))
        assert ledger.finish(lease, name, seconds=1.0) is Finish.WON

    def send() -> None:
        (one,) = ledger.dispatch(QUEUE, 10**6 - 1)  # room for one
        fleet.sender.send([one])

    rows = [
        ["begin", *timed(begin)],
        ["native", *timed(lambda: ledger.native(leases[0], [1]))],
        ["pulse, 1 lease", *timed(lambda: ledger.pulse(leases[:1]))],
        ["pulse, 4 leases", *timed(lambda: ledger.pulse(leases[:4]))],
        ["finish", *timed(finish)],
        ["dispatch, no room", *timed(lambda: ledger.dispatch(QUEUE, 10**6))],
        ["dispatch of 1, send", *timed(send, 200)],
        ["job", *timed(lambda: ledger.job(job_id))],
        ["sweep", *timed(lambda: ledger.sweep(QUEUE, 1), 50)],
        ["depth", *timed(lambda: fleet.sender.depth(QUEUE))],
    ]
    print(table("ledger on Valkey over a socket of this machine", ("call", "median us", "mean us"), rows))
    assert max(row[1] for row in rows) < 5_000


def timed(call: Callable[[], object], count: int = CALLS) -> tuple[float, float]:
    """Median and mean microseconds a call."""
    took_us = []
    for _ in range(count):
        started = time.perf_counter()
        call()
        took_us.append((time.perf_counter() - started) * 1e6)
    return statistics.median(took_us), statistics.fmean(took_us)


def test_empty_shards(start_fleet: StartFleet) -> None:
    """Shards of one item that does nothing: what a shard costs beside its work."""
    rows = []
    for workers in (1, 2):
        fleet = start_fleet(max_shard_items=1)
        fleet.workers(workers, worker_threads=2)
        warm_up(fleet, "noop", 20)
        shards = scaled(1000) * workers
        before = cpu_of(fleet)
        job_id = fleet.submit("noop", [f"in/{number}" for number in range(shards)])
        fleet.wait(job_id, 300)
        cost = {name: (cpu_s - before[name]) / shards * 1e3 for name, cpu_s in cpu_of(fleet).items()}
        took_s, counted = first_begin_to_last_finish(fleet, job_id)
        assert counted == shards
        rows.append([workers, shards, shards / took_s, cost["device"], cost["control"]])
    head = ("workers", "shards", "shards/s", "device", "control")
    print(table("empty shards, two threads a worker; CPU ms a shard by process class", head, rows))
    assert rows[0][2] > LEAST_SHARDS_PER_S
