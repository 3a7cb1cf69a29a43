"""Messages are lost, doubled, late, workers stall, the broker forgets: every item has one result."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.core.queue import queue_name
from tests.e2e.conftest import MakeFleet
from tests.support.fleet import Fleet, wait_for
from tests.support.lossy import LOSSY_LOG
from tests.support.servers import RunningValkey

BULK = queue_name("bulk", "cpu")
LOSSY_OPERATIONS = "tests.support.operations,tests.support.lossy"


@pytest.fixture
def losses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the lossy producer notes what it did. It begins once the file exists."""
    path = tmp_path / "losses.txt"
    monkeypatch.setenv(LOSSY_LOG, str(path))
    yield path
    assert not path.exists() or path.read_text(), "it was switched on and lost nothing"


def noted(losses: Path) -> Counter[str]:
    return Counter(line.partition(" ")[0] for line in losses.read_text().splitlines())


def submit_shards(fleet: Fleet, count: int, seconds: float) -> str:
    """A job of `count` shards that each sleep; the fleet has max_shard_items=1."""
    assert fleet.settings.max_shard_items == 1
    return fleet.submit("sleep", [f"in/{number}" for number in range(count)], {"seconds": seconds})


def test_every_tenth_message_lost_another_doubled(make_fleet: MakeFleet, losses: Path) -> None:
    """400 shards of 0.5 s on a producer that loses and doubles: exact, in twice the undisturbed time at most.

    The undisturbed time is what 64 shards took just before, in proportion.
    """
    fleet = make_fleet(extra_operations=LOSSY_OPERATIONS, max_shard_items=1)
    fleet.workers(4, worker_threads=2)
    shards, shard_s, slots = 400, 0.5, 8
    started_at = time.monotonic()
    undisturbed = submit_shards(fleet, 64, shard_s)
    fleet.wait(undisturbed, 30)
    undisturbed_s = time.monotonic() - started_at
    assert undisturbed_s < 2 * 64 * shard_s / slots, "the machine is too busy to say anything"

    losses.touch()
    started_at = time.monotonic()
    job_id = submit_shards(fleet, shards, shard_s)
    fleet.wait(job_id, 80)
    took_s = time.monotonic() - started_at
    fleet.assert_exact(job_id, shards)
    touched = noted(losses)
    print(f"\n{shards} shards: {took_s:.1f} s, ideal {shards * shard_s / slots:.1f} s, {dict(touched)}")
    assert touched["dropped"] >= shards // 12
    assert touched["doubled"] >= shards // 12
    assert took_s < 2 * undisturbed_s * shards / 64


def test_redelivery_alone_then_the_steward(make_fleet: MakeFleet, losses: Path) -> None:
    """Steward off: Celery redelivers what had begun when its worker was killed; the rest is the steward's.

    What was lost on the way (by the lossy producer here, by kombu now and then) comes back, counted, as soon
    as there is a steward.
    """
    fleet = make_fleet(
        extra_operations=LOSSY_OPERATIONS,
        max_shard_items=1,
        lease_s=2.0,
        lease_max_s=4.0,
        visibility_timeout_s=6,
        log_format="json",
    )
    fleet.ledger.confirm()  # a steward would, when it finds a new server
    fleet.workers(2, worker_threads=2, steward=False)
    losses.touch()
    job_id = submit_shards(fleet, 160, 0.3)
    killed: set[str] = set()
    for done in (20, 60):
        fleet.wait_done(job_id, done, 30)
        fleet.signal(signal.SIGKILL)
        killed |= fleet.running(BULK)
    assert killed
    wait_for(lambda: killed <= finished(fleet, job_id), 45, "the redelivery of what had begun")
    assert not fleet.events("control", "steward.swept")

    time.sleep(2)
    lost = fleet.sent(BULK)
    fleet.worker("steward", role="control", steward=True)
    fleet.wait(job_id, 45)
    fleet.assert_exact(job_id, 160)
    sweeps = fleet.events("steward", "steward.swept")
    resent = {entry for sweep in sweeps for entry in sweep["resent"]}
    dropped = noted(losses)["dropped"]
    print(
        f"\n{len(killed)} redelivered; {len(lost)} lost, {dropped} of them by the producer; "
        f"{len(resent)} resent"
    )
    assert len(lost) > 0
    assert lost <= resent | finished(fleet, job_id)


def finished(fleet: Fleet, job_id: str) -> set[str]:
    """Finished entries as "job/entry"; all of them once the ledger has closed the job."""
    summary = fleet.summary(job_id)
    winners = summary.winners if summary is not None else fleet.ledger.winners(job_id)
    return {f"{job_id}/{entry}" for entry in winners}


def test_steward_alone(make_fleet: MakeFleet, losses: Path) -> None:
    """Redelivery off, messages lost, workers killed: the steward alone brings everything back."""
    fleet = make_fleet(
        extra_operations=LOSSY_OPERATIONS, max_shard_items=1, lease_s=2.0, visibility_timeout_s=1_000_000
    )
    fleet.workers(2, worker_threads=2)
    losses.touch()
    job_id = submit_shards(fleet, 160, 0.3)
    killed = 0
    for done in (20, 60):
        fleet.wait_done(job_id, done, 30)
        fleet.signal(signal.SIGKILL)
        killed += len(fleet.running(BULK))
    fleet.wait(job_id, 60)
    fleet.assert_exact(job_id, 160)
    left = fleet.redis.hlen("unacked")
    print(f"\n{killed} were running when killed; {left} messages were never acknowledged, nor redelivered")
    assert 0 < left <= killed + 4  # a message may be taken and not begun


def test_worker_stopped_for_longer_than_its_lease(make_fleet: MakeFleet) -> None:
    """A worker sleeps through its lease and wakes up: its late results change nothing that counts."""
    fleet = make_fleet(lease_s=2.0, lease_max_s=4.0, log_format="json")
    fleet.workers(2, worker_threads=2)
    job_id = fleet.submit("sleep", [f"in/{number}" for number in range(480)], {"seconds": 0.1})
    fleet.wait_done(job_id, 40, 30)
    for _ in range(2):
        # Shards of one size end together: between two of them nothing runs.
        wait_for(lambda: len(fleet.running(BULK)) == 4, 10, "both workers to have their hands full")
        fleet.signal(signal.SIGSTOP, "device0")
        time.sleep(6)
        fleet.signal(signal.SIGCONT, "device0")
        time.sleep(1)
    fleet.wait(job_id, 60)
    fleet.assert_exact(job_id, 480)
    put_back = [entry for sweep in fleet.events("control", "steward.swept") for entry in sweep["put_back"]]
    late = list(fleet.events("device0", "shard.lost"))
    late += [one for one in fleet.events("device0", "shard.finished") if one["answer"] != "won"]
    print(f"\n{len(put_back)} put back; {len(late)} late runs of the woken worker")
    assert put_back
    assert late
    assert fleet.restarts == 0


@pytest.mark.parametrize("done", [0, 80, 200])
def test_append_only_file_cut(make_fleet: MakeFleet, own_valkey: RunningValkey, done: int) -> None:
    """The broker loses the end of its append-only file, as in a power failure: storage puts it right."""
    fleet = make_fleet(lease_s=2.0, max_shard_items=2)
    fleet.workers(2)
    job_id = fleet.submit("sleep", [f"in/{number}" for number in range(200)], {"seconds": 0.1})
    fleet.wait_done(job_id, done, 30)
    before = fleet.view(job_id)
    lost_bytes = own_valkey.restart_cut(40_000)
    after = fleet.view(job_id)
    fleet.wait(job_id, 60)
    fleet.assert_exact(job_id, 200)
    wait_for(fleet.ledger.reconciled, 20, "the reconciliation")
    wait_for(lambda: ended(fleet, job_id), 20, "the ledger to hear of the end")
    back = "forgotten" if after is None else f"{after.counts.done} items done"
    print(f"\n{lost_bytes} bytes cut: {before.counts.done if before else 0} items done, then {back}")
    assert lost_bytes > 0


def ended(fleet: Fleet, job_id: str) -> bool:
    """Whether the ledger has nothing left to do for a job."""
    view = fleet.view(job_id)
    return view is None or view.state.ended


def test_lossy_producer_is_inert_here() -> None:
    """Nothing is lost in this process when it is not asked for."""
    assert LOSSY_LOG not in os.environ
