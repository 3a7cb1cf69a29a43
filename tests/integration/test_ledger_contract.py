"""What `pipeline.core.ledger` promises, held against both ledgers: Redis (a real server) and memory.

Both read a clock that the test moves; only the last part uses the server's own time.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
import redis

from pipeline.core.errors import BrokerUnavailable
from pipeline.core.jobs import Counts, JobState
from pipeline.core.keys import ResultName
from pipeline.core.ledger import (
    BEAT_S,
    CONTROL,
    LEAST_SLOTS,
    MAX_ATTEMPTS,
    MAX_QUIET_DEATHS,
    MAX_SENDS,
    Beat,
    Finish,
    Lease,
    Ledger,
    LedgerJob,
    Refusal,
    Restore,
    Sending,
    Sweep,
)
from pipeline.core.memory import MemoryLedger
from pipeline.core.redis_ledger import make_ledger
from pipeline.core.settings import Settings
from tests.support.ledgers import Clock, twin_ledgers
from tests.support.servers import RunningValkey, S3Place, settings_for

QUEUE = "work.bulk.cpu"


class Bench:
    """A ledger, its clock, and the few moves that every scenario is made of."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self.ledger = ledger
        self.clock = clock
        self._number = 0
        ledger.confirm()

    def fresh(self) -> str:
        self._number += 1
        return f"r{self._number:03d}"

    def job(self, job_id: str = "job_a", *, shards: int = 3, owner: str = "ann", **told: object) -> None:
        """A job that is planned, with its planning done."""
        self.ledger.enter(LedgerJob(job_id, owner, QUEUE, "copy", 1.0, **told))  # type: ignore[arg-type]
        plan = self.begun(next(one for one in self.sent(CONTROL) if one.job_id == job_id))
        self.ledger.planned(job_id, "plan1", shards, 10 * shards)
        self.ledger.finish_control(plan)

    def sent(self, queue: str = QUEUE, depth: int = 0) -> list[Sending]:
        return self.ledger.dispatch(queue, depth)

    def begin(self, sending: Sending, nonce: str = "") -> Lease | Refusal:
        nonce = nonce or self.fresh()
        return self.ledger.begin(sending.job_id, sending.entry, sending.token, worker="w", nonce=nonce)

    def begun(self, sending: Sending) -> Lease:
        lease = self.begin(sending)
        assert isinstance(lease, Lease)
        return lease

    def result(self, lease: Lease, *, failed: int = 0) -> str:
        return str(ResultName(self.fresh(), 10 - failed, failed, 0, lease.held))

    def finish(self, lease: Lease) -> Finish:
        return self.ledger.finish(lease, self.result(lease), seconds=2.0)

    def run_all(self) -> list[str]:
        """Runs whatever the queue has, one after the other; the entries in the order of their running."""
        ran = []
        while sendings := self.sent():
            for sending in sendings:
                self.finish(self.begun(sending))
                ran.append(sending.entry)
        return ran

    def die(self, lease: Lease) -> Sweep:
        """The lease ends and the steward looks."""
        self.clock.advance(lease.lease_s + 0.1)
        entry_queue = QUEUE if lease.entry[0].isdigit() else CONTROL
        return self.ledger.sweep(entry_queue, 1)

    def state(self, job_id: str = "job_a") -> JobState:
        view = self.ledger.job(job_id)
        assert view is not None
        return view.state


@pytest.fixture(params=["memory", "redis"])
def bench(request: pytest.FixtureRequest, redis_url: str) -> Iterator[Bench]:
    with redis.Redis.from_url(redis_url) as client:
        client.flushdb()
    ledger, memory, clock = twin_ledgers(redis_url)
    yield Bench(memory if request.param == "memory" else ledger, clock)
    ledger._client.close()


# -- a job's life -----------------------------------------------------------------------------------
def test_a_job_goes_from_accepted_to_its_end(bench: Bench) -> None:
    """Entered, planned, run, finalised: each state in turn, every shard counted once."""
    ledger = bench.ledger
    job = LedgerJob("job_a", "ann", QUEUE, "copy", 1.0)
    assert ledger.enter(job)
    assert not ledger.enter(job)
    assert bench.state() is JobState.ACCEPTED
    [plan] = bench.sent(CONTROL)
    assert plan.entry == "plan"
    lease = bench.begun(plan)
    assert bench.state() is JobState.PLANNING
    ledger.planned("job_a", "plan1", 3, 30)
    ledger.planned("job_a", "plan2", 9, 90)
    ledger.finish_control(lease)
    assert bench.state() is JobState.RUNNING
    assert bench.run_all() == ["0", "1", "2"]
    view = ledger.job("job_a")
    assert view is not None
    assert view.counts == Counts(total=30, succeeded=30)
    assert (view.plan_token, view.shards, view.entries, view.finished) == ("plan1", 3, 3, 3)
    assert (view.waiting, view.in_flight) == (0, 0)
    assert set(ledger.winners("job_a")) == {"0", "1", "2"}
    [finalise] = bench.sent(CONTROL)
    assert finalise.entry == "finalise"
    done = bench.begun(finalise)
    ledger.ended("job_a", JobState.COMPLETED, Counts(total=30, succeeded=30))
    ledger.finish_control(done)
    assert bench.state() is JobState.COMPLETED
    assert ledger.winners("job_a") == {}
    assert bench.begin(finalise) is Refusal.UNKNOWN
    assert bench.finish(lease) is Finish.UNKNOWN


def test_a_job_without_items_is_finalised_at_once(bench: Bench) -> None:
    """No shards: once the planning is done, nothing is left to wait for."""
    bench.job(shards=0)
    assert [sending.entry for sending in bench.sent(CONTROL)] == ["finalise"]


def test_a_forgotten_job_is_unknown(bench: Bench) -> None:
    """After `forget` nothing of a job is known, and its messages are dropped."""
    bench.job()
    [sending, _] = bench.sent()
    bench.ledger.forget("job_a")
    assert bench.ledger.job("job_a") is None
    assert bench.ledger.known(["job_a", "job_b"]) == set()
    assert bench.begin(sending) is Refusal.UNKNOWN
    assert bench.ledger.backlog()[QUEUE] == (0, 0)


def test_leases_carry_the_plan(bench: Bench) -> None:
    """A shard's lease names the plan whose manifest it reads."""
    bench.job()
    lease = bench.begun(bench.sent()[0])
    assert (lease.plan_token, lease.attempt, lease.lease_s, lease.held) == ("plan1", 1, 20, ())


# -- room and turns ---------------------------------------------------------------------------------
def test_nothing_is_dispatched_before_reconciliation(redis_url: str) -> None:
    """A server that was not confirmed sends nothing, and its steward puts nothing back."""
    with redis.Redis.from_url(redis_url) as client:
        client.flushdb()
    for ledger in twin_ledgers(redis_url)[:2]:
        assert not ledger.reconciled()
        ledger.enter(LedgerJob("job_a", "ann", QUEUE, "copy", 1.0))
        assert ledger.dispatch(CONTROL, 0) == []
        assert ledger.sweep(CONTROL, 0) == Sweep()
        assert ledger.settled_winners("job_a") is None
        ledger.confirm()
        assert ledger.reconciled()
        assert ledger.settled_winners("job_a") == {}
        assert len(ledger.dispatch(CONTROL, 0)) == 1


def test_room_is_slots_less_running_less_what_the_broker_holds(bench: Bench) -> None:
    """Lost messages hold no place after 2 s, those that the broker still has do, and so does what runs."""
    bench.job(shards=20)
    ledger = bench.ledger
    assert len(bench.sent()) == LEAST_SLOTS
    ledger.beat(Beat("w1", (QUEUE,), 4, ("copy",), "cpu"))
    ledger.beat(Beat("w2", (CONTROL,), 9, (), "cpu"))
    assert len(bench.sent()) == 4 - LEAST_SLOTS
    assert bench.sent() == []
    bench.clock.advance(2.5)
    assert bench.sent(depth=4) == []
    [sending] = bench.sent(depth=3)
    bench.begun(sending)
    bench.clock.advance(2.5)
    assert len(bench.sent(depth=0)) == 3
    ledger.depart("w1")
    bench.clock.advance(2.5)
    assert len(bench.sent(depth=0)) == LEAST_SLOTS - 1


def test_silent_workers_have_no_slots(bench: Bench) -> None:
    """A worker that was silent for BEAT_S is not counted."""
    bench.ledger.beat(Beat("w1", (QUEUE,), 4, ("copy",), "cpu"))
    assert [beat.slots for beat in bench.ledger.workers()] == [4]
    bench.clock.advance(BEAT_S + 0.1)
    assert bench.ledger.workers() == []
    bench.job(shards=9)
    assert len(bench.sent()) == LEAST_SLOTS


def test_owners_share_and_jobs_take_turns(bench: Bench) -> None:
    """The owner with the fewest in flight is next; of one owner's jobs those of equal priority in turn."""
    bench.job("job_a", shards=5, owner="ann")
    bench.job("job_b", shards=5, owner="ann")
    bench.job("job_c", shards=5, owner="bob")
    bench.ledger.beat(Beat("w1", (QUEUE,), 6, ("copy",), "cpu"))
    order = [sending.job_id for sending in bench.sent()]
    assert order.count("job_c") == 3
    assert [job_id for job_id in order if job_id != "job_c"] in (
        ["job_a", "job_b", "job_a"],
        ["job_b", "job_a", "job_b"],
    )


def test_priority_goes_first(bench: Bench) -> None:
    """Of one owner's jobs the highest priority is served first, also when it was raised later."""
    bench.job("job_a", shards=4)
    bench.job("job_b", shards=4, priority=5)
    assert [sending.job_id for sending in bench.sent()] == ["job_b", "job_b"]
    bench.ledger.decide("job_a", paused=False, priority=9, expires_at=None)
    bench.clock.advance(2.5)
    assert [sending.job_id for sending in bench.sent()] == ["job_a", "job_a"]


def test_a_paused_job_waits(bench: Bench) -> None:
    """Nothing of a paused job is dispatched but what the control worker does; what runs may finish."""
    bench.job("job_a", shards=4, paused=True)
    assert bench.sent() == []
    bench.ledger.decide("job_a", paused=False, priority=0, expires_at=None)
    sendings = bench.sent()
    assert len(sendings) == 2
    bench.ledger.decide("job_a", paused=True, priority=0, expires_at=None)
    assert bench.finish(bench.begun(sendings[0])) is Finish.WON
    bench.clock.advance(2.5)
    assert bench.sent() == []


# -- begin and finish -------------------------------------------------------------------------------
def test_a_doubled_message_is_dropped(bench: Bench) -> None:
    """A second delivery under a living lease is TAKEN, after the finish FINISHED, another token STALE."""
    bench.job()
    sending = bench.sent()[0]
    lease = bench.begun(sending)
    assert bench.begin(sending) is Refusal.TAKEN
    assert bench.begin(replace(sending, token="another")) is Refusal.STALE
    assert bench.finish(lease) is Finish.WON
    assert bench.begin(sending) is Refusal.FINISHED


def test_a_lost_reply_costs_nothing(bench: Bench) -> None:
    """`begin` with the same nonce answers the same lease; `finish` with the same result is ALREADY."""
    bench.job()
    sending = bench.sent()[0]
    lease = bench.begin(sending, "nonce")
    assert bench.begin(sending, "nonce") == lease
    assert isinstance(lease, Lease)
    result = bench.result(lease)
    assert bench.ledger.finish(lease, result, seconds=1) is Finish.WON
    assert bench.ledger.finish(lease, result, seconds=1) is Finish.ALREADY
    assert bench.ledger.finish(lease, bench.result(lease), seconds=1) is Finish.LOST
    view = bench.ledger.job("job_a")
    assert view is not None
    assert view.counts.succeeded == 10


def test_a_dead_lease_is_taken_over(bench: Bench) -> None:
    """The own token under a dead lease gets another token and attempt; the first finisher still wins."""
    bench.job(shards=1)
    [sending] = bench.sent()
    first = bench.begun(sending)
    bench.clock.advance(first.lease_s + 0.1)
    second = bench.begun(sending)
    assert (second.attempt, second.lease_s) == (2, 40)
    assert second.token != first.token
    assert [pulse.held for pulse in bench.ledger.pulse([first, second])] == [False, True]
    assert bench.finish(first) is Finish.WON
    assert bench.finish(second) is Finish.LOST
    # The same message may come a third time, without any steward.
    bench.job("job_b", shards=1)
    [sending] = bench.sent()
    for attempt in range(1, MAX_ATTEMPTS + 1):
        lease = bench.begun(sending)
        assert lease.attempt == attempt
        bench.clock.advance(lease.lease_s + 0.1)
    assert bench.begin(sending) is Refusal.STALE
    assert [one.entry for one in bench.sent(CONTROL)] == ["bury.0"]


def test_a_late_renewal_holds(bench: Bench) -> None:
    """A pulse after the deadline renews, while nobody took over."""
    bench.job()
    lease = bench.begun(bench.sent()[0])
    bench.clock.advance(lease.lease_s + 5)
    assert bench.ledger.pulse([lease])[0].held
    bench.clock.advance(lease.lease_s - 1)
    assert bench.ledger.sweep(QUEUE, 1).put_back == ()


def test_pace_and_rate_are_measured(bench: Bench) -> None:
    """Seconds an item by operation; items a second while shards finish."""
    assert bench.ledger.pace("copy") is None
    bench.job()
    lease = bench.begun(bench.sent()[0])
    bench.clock.advance(2)
    bench.finish(lease)
    assert bench.ledger.pace("copy") == pytest.approx(0.2)
    view = bench.ledger.job("job_a")
    assert view is not None
    assert view.rate > 0


def test_release_gives_back_at_once(bench: Bench) -> None:
    """A released entry is first in line; only blame uses up an attempt; after five it is buried."""
    bench.job(shards=3)
    [zero, one] = bench.sent()
    bench.begun(one)
    bench.ledger.release(bench.begun(zero), blame=False)
    [again] = bench.sent()
    assert again.entry == "0"
    assert bench.begin(zero) is Refusal.STALE
    for attempt in range(1, MAX_ATTEMPTS + 1):
        lease = bench.begun(again)
        assert lease.attempt == attempt
        bench.ledger.release(lease, blame=True)
        if attempt < MAX_ATTEMPTS:
            [again] = bench.sent()
            assert again.entry == "0"
    assert [sending.entry for sending in bench.sent(CONTROL)] == ["bury.0"]
    assert [sending.entry for sending in bench.sent()] == ["2"]


# -- cancel and expiry ------------------------------------------------------------------------------
def test_cancel_stops_what_waits_and_lets_run_what_runs(bench: Bench) -> None:
    """Nothing is sent any more, sent messages are dropped, the running shard counts, then it is finalised."""
    bench.job(shards=5)
    running, unread = bench.sent()
    lease = bench.begun(running)
    bench.ledger.cancel("job_a", "cancelled")
    bench.ledger.cancel("job_a", "another reason")
    assert bench.state() is JobState.CANCELLING
    assert isinstance(bench.begin(unread), Refusal)
    assert bench.sent() == bench.sent(CONTROL) == []
    [pulse] = bench.ledger.pulse([lease])
    assert pulse.held
    assert pulse.cancelled
    assert bench.finish(lease) is Finish.WON
    assert [sending.entry for sending in bench.sent(CONTROL)] == ["finalise"]
    view = bench.ledger.job("job_a")
    assert view is not None
    assert (view.reason, view.counts.succeeded) == ("cancelled", 10)


def test_a_dead_shard_of_a_cancelled_job_is_not_waited_for(bench: Bench) -> None:
    """The lease of a cancelled job's last running shard ends: the job is finalised."""
    bench.job(shards=5)
    lease = bench.begun(bench.sent()[0])
    bench.ledger.cancel("job_a", "cancelled")
    assert bench.die(lease).put_back == ("job_a/0",)
    assert bench.sent() == []
    assert [sending.entry for sending in bench.sent(CONTROL)] == ["finalise"]


def test_cancelled_while_planning(bench: Bench) -> None:
    """A plan that stands after the cancel makes no shard wait, and the job is finalised after it."""
    bench.ledger.enter(LedgerJob("job_a", "ann", QUEUE, "copy", 1.0))
    plan = bench.begun(bench.sent(CONTROL)[0])
    bench.ledger.cancel("job_a", "cancelled")
    bench.ledger.planned("job_a", "plan1", 3, 30)
    assert bench.sent(CONTROL) == []
    bench.ledger.finish_control(plan)
    assert bench.sent() == []
    assert [sending.entry for sending in bench.sent(CONTROL)] == ["finalise"]
    view = bench.ledger.job("job_a")
    assert view is not None
    assert (view.plan_token, view.counts.total) == ("plan1", 30)


def test_an_expired_job_is_cancelled(bench: Bench) -> None:
    """The steward's look at the control queue cancels jobs whose time is up, once."""
    bench.job(expires_at=bench.clock() + 10)
    assert bench.ledger.sweep(CONTROL, 0).expired == ()
    bench.clock.advance(11)
    assert bench.ledger.sweep(QUEUE, 0).expired == ()
    assert bench.ledger.sweep(CONTROL, 0).expired == ("job_a",)
    assert bench.ledger.sweep(CONTROL, 0).expired == ()
    view = bench.ledger.job("job_a")
    assert view is not None
    assert (view.state, view.reason) == (JobState.CANCELLING, "expired")


# -- deaths -----------------------------------------------------------------------------------------
def test_a_dead_shard_waits_again(bench: Bench) -> None:
    """It is put back first in line, its next lease is twice as long, the old message is stale."""
    bench.job(shards=4)
    first, _ = bench.sent()
    sweep = bench.die(bench.begun(first))
    assert sweep.put_back == ("job_a/0",)
    assert bench.begin(first) is Refusal.STALE
    again = bench.sent()[0]
    assert again.entry == "0"
    lease = bench.begun(again)
    assert (lease.attempt, lease.lease_s) == (2, 40)


def test_lease_lengths_have_an_end(bench: Bench) -> None:
    """Each attempt doubles the lease, to 300 s; a shard that died five times is buried."""
    bench.job(shards=1)
    lengths = []
    for _ in range(MAX_ATTEMPTS):
        [sending] = bench.sent()
        lease = bench.begun(sending)
        lengths.append(lease.lease_s)
        bench.die(lease)
    assert lengths == [20, 40, 80, 160, 300]
    assert bench.sent() == []
    [bury] = bench.sent(CONTROL)
    assert bury.entry == "bury.0"
    lease = bench.begun(bury)
    assert bench.finish(replace(lease, entry="0")) is Finish.WON
    bench.ledger.finish_control(lease)
    assert [sending.entry for sending in bench.sent(CONTROL)] == ["finalise"]


def test_suspects_run_alone_and_last(bench: Bench) -> None:
    """What was in native code at a death becomes an entry of its own, last in line, left out of its shard."""
    bench.job(shards=3)
    first, second = bench.sent()
    bench.finish(bench.begun(second))
    lease = bench.begun(first)
    bench.ledger.native(lease, [4, 7])
    bench.ledger.native(lease, [4])
    bench.die(lease)
    view = bench.ledger.job("job_a")
    assert view is not None
    assert view.entries == 4
    assert bench.finish(lease) is Finish.LOST  # it would have done item 4 a second time
    again, other = bench.sent()
    assert (again.entry, other.entry) == ("0", "2")
    lease = bench.begun(again)
    assert (lease.held, lease.quiet) == ((4,), False)
    assert bench.finish(lease) is Finish.WON
    assert bench.finish(bench.begun(other)) is Finish.WON
    assert bench.run_all() == ["0.4"]
    assert set(bench.ledger.winners("job_a")) == {"0", "0.4", "1", "2"}
    assert bench.ledger.settled_winners("job_a") == bench.ledger.winners("job_a")


def test_a_suspect_is_buried_after_its_third_quiet_death(bench: Bench) -> None:
    """Deaths in native code count; the death that made it a suspect, and deaths elsewhere, do not."""
    bench.job(shards=1)
    lease = bench.begun(bench.sent()[0])
    bench.ledger.native(lease, [4])
    bench.die(lease)
    shard, sending = bench.sent()
    assert bench.finish(bench.begun(shard)) is Finish.WON
    for death in range(MAX_QUIET_DEATHS + 1):
        if death:
            [sending] = bench.sent()
        lease = bench.begun(sending)
        assert lease.quiet
        if death:  # the first of these was not in native code
            bench.ledger.native(lease, [4])
        bench.die(lease)
    assert bench.sent() == []
    assert [sending.entry for sending in bench.sent(CONTROL)] == ["bury.0.4"]


def test_a_plan_that_cannot_be_made_fails_its_job(bench: Bench) -> None:
    """Five attempts at planning end the job with a reason, not for ever in circles."""
    bench.ledger.enter(LedgerJob("job_a", "ann", QUEUE, "copy", 1.0))
    for _ in range(MAX_ATTEMPTS):
        [plan] = bench.sent(CONTROL)
        bench.ledger.release(bench.begun(plan), blame=True)
    assert bench.state() is JobState.CANCELLING
    view = bench.ledger.job("job_a")
    assert view is not None
    assert view.reason == "internal_error"
    assert [sending.entry for sending in bench.sent(CONTROL)] == ["finalise"]


def test_a_finalise_is_tried_for_ever(bench: Bench) -> None:
    """However often a finaliser fails or its message is lost, the job still ends some day."""
    bench.job(shards=0)
    for _ in range(MAX_ATTEMPTS + 2):
        [finalise] = bench.sent(CONTROL)
        bench.ledger.release(bench.begun(finalise), blame=True)
    [finalise] = bench.sent(CONTROL)
    for _ in range(MAX_SENDS + 2):
        bench.ledger.sweep(CONTROL, 0)
        bench.clock.advance(2.5)
        assert bench.ledger.sweep(CONTROL, 0).resend == (finalise,)
    assert isinstance(bench.begin(finalise), Lease)


# -- losses -----------------------------------------------------------------------------------------
def test_a_lost_message_is_sent_again(bench: Bench) -> None:
    """Sent, not begun, and the queue empty at two looks 2 s apart: again, under the same token."""
    bench.job(shards=1)
    [sending] = bench.sent()
    assert bench.ledger.sweep(QUEUE, 0) == Sweep()
    bench.clock.advance(1.5)
    assert bench.ledger.sweep(QUEUE, 0) == Sweep()
    bench.clock.advance(1)
    assert bench.ledger.sweep(QUEUE, 0) == Sweep(resend=(sending,))
    assert bench.ledger.sweep(QUEUE, 0) == Sweep()
    assert isinstance(bench.begin(sending), Lease)


def test_a_queue_that_is_not_empty_has_lost_nothing(bench: Bench) -> None:
    """A look that finds messages in the queue starts the wait anew."""
    bench.job(shards=1)
    bench.sent()
    bench.ledger.sweep(QUEUE, 0)
    bench.clock.advance(2.5)
    assert bench.ledger.sweep(QUEUE, 1) == Sweep()
    assert bench.ledger.sweep(QUEUE, 0) == Sweep()


def test_an_overtaken_message_is_lost(bench: Bench) -> None:
    """An entry sent later began more than 5 s ago: the queue is first in, first out."""
    bench.job(shards=4)
    lost, _ = bench.sent()
    bench.clock.advance(2.5)
    [later, *_] = bench.sent()
    bench.begun(later)
    bench.clock.advance(4)
    assert bench.ledger.sweep(QUEUE, 7).resend == ()
    bench.clock.advance(1.5)
    resent = bench.ledger.sweep(QUEUE, 7).resend
    assert lost in resent
    assert later not in resent


def test_what_nobody_begins_is_undeliverable(bench: Bench) -> None:
    """Five sends without a begin fail the job."""
    bench.job(shards=1)
    [sending] = bench.sent()
    for _ in range(MAX_SENDS - 1):
        bench.ledger.sweep(QUEUE, 0)
        bench.clock.advance(2.5)
        assert bench.ledger.sweep(QUEUE, 0).resend == (sending,)
    bench.ledger.sweep(QUEUE, 0)
    bench.clock.advance(2.5)
    assert bench.ledger.sweep(QUEUE, 0).undeliverable == ("job_a",)
    view = bench.ledger.job("job_a")
    assert view is not None
    assert (view.state, view.reason) == (JobState.CANCELLING, "undeliverable")
    assert [one.entry for one in bench.sent(CONTROL)] == ["finalise"]


# -- reconciliation ---------------------------------------------------------------------------------
def test_an_unknown_job_is_restored_from_storage(bench: Bench) -> None:
    """Finished shards count, the rest waits, what winners left out runs alone."""
    job = LedgerJob("job_a", "ann", QUEUE, "copy", 1.0, priority=3)
    done = {"0": str(ResultName("t0", 9, 0, 0, (5,))), "2": str(ResultName("t2", 8, 2, 0))}
    bench.ledger.restore(Restore(job, "plan1", 4, 40, done))
    bench.ledger.restore(Restore(job, "plan1", 4, 40, done))
    view = bench.ledger.job("job_a")
    assert view is not None
    assert (view.state, view.priority, view.entries, view.finished) == (JobState.RUNNING, 3, 5, 2)
    assert view.counts == Counts(total=40, succeeded=17, failed=2)
    assert bench.run_all() == ["1", "3", "0.5"]
    assert [sending.entry for sending in bench.sent(CONTROL)] == ["finalise"]


def test_an_unplanned_or_a_finished_job_is_restored(bench: Bench) -> None:
    """Without a plan it is planned; with every result it is finalised; a cancelled one only finalised."""
    bench.ledger.restore(Restore(LedgerJob("job_a", "ann", QUEUE, "copy", 1.0)))
    done = {"0": str(ResultName("t0", 9, 0, 0))}
    bench.ledger.restore(Restore(LedgerJob("job_b", "bob", QUEUE, "copy", 1.0), "p", 1, 9, done))
    job_c = LedgerJob("job_c", "cid", QUEUE, "copy", 1.0)
    bench.ledger.restore(Restore(job_c, "p", 2, 9, done, cancelled="cancelled"))
    bench.ledger.beat(Beat("w", (CONTROL,), 9, (), "cpu"))
    sent = {(sending.job_id, sending.entry) for sending in bench.sent(CONTROL)}
    assert sent == {("job_a", "plan"), ("job_b", "finalise"), ("job_c", "finalise")}
    assert bench.sent() == []
    assert bench.state("job_c") is JobState.CANCELLING


def test_restoring_keeps_what_is_known_better(bench: Bench) -> None:
    """What runs goes on, what is finished stays so; what a user decided is taken from storage."""
    bench.job(shards=3)
    running, unread = bench.sent()
    lease = bench.begun(running)
    told = LedgerJob("job_a", "ann", QUEUE, "copy", 1.0, paused=True)
    bench.ledger.restore(Restore(told, "plan1", 3, 30, {"2": str(ResultName("t2", 10, 0, 0))}))
    assert bench.ledger.pulse([lease])[0].held
    assert bench.finish(lease) is Finish.WON
    assert bench.finish(bench.begun(unread)) is Finish.WON
    assert bench.sent() == []
    assert [sending.entry for sending in bench.sent(CONTROL)] == ["finalise"]
    view = bench.ledger.job("job_a")
    assert view is not None
    assert view.paused
    assert view.counts == Counts(total=30, succeeded=30)


def test_an_item_left_out_before_a_rollback_is_not_lost(bench: Bench) -> None:
    """A result that leaves out an item which the ledger no longer suspects makes it an entry again."""
    bench.job(shards=1)
    lease = bench.begun(bench.sent()[0])
    assert bench.finish(replace(lease, held=(4,))) is Finish.WON
    assert bench.sent(CONTROL) == []
    assert bench.run_all() == ["0.4"]


def test_backlog_counts_what_waits_and_flies(bench: Bench) -> None:
    """For each queue: waiting and in flight."""
    bench.job(shards=5)
    first, _ = bench.sent()
    bench.begun(first)
    assert bench.ledger.backlog() == {CONTROL: (0, 0), QUEUE: (3, 2)}
    assert bench.ledger.queues() == [CONTROL, QUEUE]


# -- the server's own time --------------------------------------------------------------------------
@pytest.fixture
def short(own_valkey: RunningValkey) -> Settings:
    place = S3Place("http://127.0.0.1:1", "", "")
    return settings_for(own_valkey.url, place, "none", lease_s=0.4, lease_max_s=1, keep_ledger_s=1)


def test_leases_end_by_the_servers_clock(short: Settings) -> None:
    """A lease of 0.4 s is over after half a second, and not before it was renewed."""
    ledger = make_ledger(short)
    bench = Bench(ledger, None)  # type: ignore[arg-type]
    time.sleep(1)  # the server's first second, in which nothing counts as dead
    bench.job(shards=1)
    lease = bench.begun(bench.sent()[0])
    for _ in range(3):
        time.sleep(0.25)
        assert ledger.pulse([lease])[0].held
        assert ledger.sweep(QUEUE, 1).put_back == ()
    time.sleep(0.5)
    assert ledger.sweep(QUEUE, 1).put_back == ("job_a/0",)


def test_an_ended_job_is_remembered_for_a_while(short: Settings) -> None:
    """`keep_ledger_s` after its end nothing of a job is left in Redis; memory forgets it as well."""
    for ledger in (make_ledger(short), MemoryLedger(keep_s=1)):
        bench = Bench(ledger, None)  # type: ignore[arg-type]
        bench.job(shards=1)
        ledger.ended("job_a", JobState.COMPLETED, Counts())
        assert bench.state() is JobState.COMPLETED
        time.sleep(1.2)
        assert ledger.job("job_a") is None
    with redis.Redis.from_url(short.redis_url) as client:
        left = [key for key in client.scan_iter("*") if b"job_a" in key]
    assert left == []


def test_a_restarted_server_is_another_run(own_valkey: RunningValkey, short: Settings) -> None:
    """After a restart nothing is dispatched until it is reconciled, and what ran still holds its lease."""
    ledger = make_ledger(short)
    bench = Bench(ledger, None)  # type: ignore[arg-type]
    bench.job(shards=4)
    first, _ = bench.sent()
    lease = bench.begun(first)
    ledger.durable()
    own_valkey.restart()
    assert not ledger.reconciled()
    assert bench.sent() == []
    assert ledger.pulse([lease])[0].held
    ledger.confirm()
    assert bench.finish(lease) is Finish.WON
    own_valkey.restart_empty()
    assert not ledger.reconciled()
    assert ledger.job("job_a") is None


def test_a_server_that_is_away_is_a_broker_error(own_valkey: RunningValkey, short: Settings) -> None:
    """redis-py's errors become BrokerUnavailable."""
    ledger = make_ledger(short)
    ledger.check()
    own_valkey.stop()
    with pytest.raises(BrokerUnavailable):
        ledger.check()
    with pytest.raises(BrokerUnavailable):
        ledger.dispatch(QUEUE, 0)
