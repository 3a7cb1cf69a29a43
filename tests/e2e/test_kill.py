"""Processes and servers are killed in the middle of jobs: every item ends with exactly one result."""

from __future__ import annotations

import signal
import time

import pytest

from pipeline.core.jobs import JobState
from tests.e2e.conftest import MakeFleet
from tests.support.fleet import Fleet, wait_for
from tests.support.servers import RunningS3, RunningValkey

LEASE_S = 4.0


def put_inputs(fleet: Fleet, count: int, size_bytes: int = 1000) -> list[str]:
    keys = [f"in/{number:05d}.bin" for number in range(count)]
    for number, key in enumerate(keys):
        fleet.store.put(key, number.to_bytes(4, "big") * (size_bytes // 4))
    return keys


def test_every_worker_killed_twice(make_fleet: MakeFleet) -> None:
    """Kill -9 of all workers, twice in one job of 500 items: it ends by itself, exactly, within the bound."""
    fleet = make_fleet()
    fleet.workers(2)
    items, item_s = 500, 0.1
    job_id = fleet.submit("sleep", [f"in/{i}" for i in range(items)], {"seconds": item_s})
    for done in (100, 300):
        fleet.wait_done(job_id, done, 60)
        fleet.signal(signal.SIGKILL)
    killed_at = time.monotonic()
    fleet.wait(job_id, 60 + items * item_s)
    assert time.monotonic() - killed_at < 60 + (items - 300) * item_s / 4
    fleet.assert_exact(job_id, items)


@pytest.mark.parametrize("operation", ["crash", "crash_together"])
def test_poison_fails_alone(make_fleet: MakeFleet, operation: str) -> None:
    """Items that kill their process fail with worker_lost; every other item of the job succeeds.

    Also where several items were in native code together: each of them then runs alone.
    """
    fleet = make_fleet(lease_s=2.0)
    keys = put_inputs(fleet, 40)
    poison = {11, 30}
    for index in poison:
        fleet.store.put(keys[index], b"CRASH")
    fleet.workers(2)
    job_id = fleet.submit(operation, keys)
    fleet.wait(job_id, 150)
    lines = fleet.assert_exact(job_id, len(keys), failed=len(poison))
    failed = {line.index: line.error for line in lines if line.status == "failed"}
    assert set(failed) == poison
    assert {error["code"] for error in failed.values() if error} == {"worker_lost"}


def test_sigterm_finishes_what_is_in_hand(make_fleet: MakeFleet) -> None:
    """A worker told to stop finishes its shards: no attempt is used up, nothing waits for a lease to end."""
    fleet = make_fleet(lease_s=60.0, lease_max_s=60.0, visibility_timeout_s=120)
    fleet.workers(2)
    job_id = fleet.submit("sleep", [f"in/{i}" for i in range(60)], {"seconds": 0.2})
    fleet.wait_done(job_id, 5, 30)
    fleet.signal(signal.SIGTERM, "device0")
    fleet.wait(job_id, 30)
    fleet.assert_exact(job_id, 60)
    assert "entry.released" not in fleet.log("device0")


@pytest.mark.parametrize("moment", ["planning", "running", "finalising"])
def test_valkey_killed(make_fleet: MakeFleet, own_valkey: RunningValkey, moment: str) -> None:
    """Kill -9 and restart of the broker at any moment of a job: nothing is lost and nothing is twice."""
    fleet = make_fleet()
    keys = put_inputs(fleet, 200)
    fleet.workers(2)
    job_id = fleet.submit("copy", keys)
    wanted = {"planning": 0, "running": 60, "finalising": 200}[moment]
    if moment == "planning":
        wait_for(lambda: fleet.view(job_id).state is not JobState.ACCEPTED, 20, "planning")  # type: ignore[union-attr]
    else:
        fleet.wait_done(job_id, wanted, 60)
    own_valkey.restart()
    fleet.wait(job_id, 90)
    fleet.assert_exact(job_id, 200)


def test_valkey_emptied(make_fleet: MakeFleet, own_valkey: RunningValkey) -> None:
    """A broker that comes back empty is filled from storage: what was done is not done again."""
    fleet = make_fleet()
    fleet.workers(2)
    job_id = fleet.submit("sleep", [f"in/{i}" for i in range(150)], {"seconds": 0.1})
    fleet.wait_done(job_id, 50, 60)
    own_valkey.restart_empty()
    fleet.wait(job_id, 90)
    fleet.assert_exact(job_id, 150)


def test_s3_killed(make_fleet: MakeFleet, own_s3: RunningS3) -> None:
    """The store is away for a while in mid-run: items wait, none fails, work resumes when it is back."""
    fleet = make_fleet()
    keys = put_inputs(fleet, 300, 20_000)
    fleet.workers(2)
    job_id = fleet.submit("copy", keys)
    fleet.wait_done(job_id, 60, 60)
    own_s3.kill()
    time.sleep(3)
    own_s3.start()
    before = fleet.view(job_id)
    assert before is not None
    back_at = time.monotonic()
    fleet.wait_done(job_id, before.counts.done + 1, 30)
    assert time.monotonic() - back_at < 30
    fleet.wait(job_id, 120)
    fleet.assert_exact(job_id, 300)


def test_submission_cut_short(make_fleet: MakeFleet) -> None:
    """A job that was stored but never entered (the API died) runs once a control worker looks."""
    fleet = make_fleet()
    job_id = fleet.submit("sleep", ["in/0", "in/1"], {"seconds": 0.0}, enter=False)
    fleet.workers(1)
    fleet.wait(job_id, 40)
    fleet.assert_exact(job_id, 2)


def test_cancel_is_seen_at_once(make_fleet: MakeFleet) -> None:
    """A running shard sees a cancel within 2 s; what was done stays, the rest has cancelled lines."""
    fleet = make_fleet(shard_target_s=20.0)
    fleet.workers(1)
    job_id = fleet.submit("sleep", [f"in/{i}" for i in range(200)], {"seconds": 0.1})
    fleet.wait_done(job_id, 0, 20)
    wait_for(lambda: fleet.view(job_id).state is JobState.RUNNING, 20, "running")  # type: ignore[union-attr]
    time.sleep(1.5)
    cancelled_at = time.monotonic()
    fleet.ledger.cancel(job_id, "cancelled")
    wait_for(lambda: fleet.view(job_id).in_flight == 0, 10, "the shards to stop")  # type: ignore[union-attr]
    assert time.monotonic() - cancelled_at < 2.5
    summary = fleet.wait(job_id, 20)
    assert summary.state is JobState.CANCELLED
    assert summary.counts.cancelled > 0
    assert [line.index for line in fleet.results(job_id)] == list(range(200))
