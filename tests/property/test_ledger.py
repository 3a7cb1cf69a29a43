"""The Redis ledger against the one in memory: whatever is done to both, both show and answer the same.

The clock is the test's, so that leases end and messages are lost in no time. Only tokens may differ.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

import pytest
import redis
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from pipeline.core.jobs import Counts, JobState
from pipeline.core.keys import ResultName
from pipeline.core.ledger import CONTROL, Beat, JobView, Lease, Ledger, LedgerJob, Refusal, Restore, Sending
from tests.support.ledgers import twin_ledgers

QUEUE = "work.bulk.cpu"
JOBS = ("job_a", "job_b", "job_c", "job_d")
OWNERS = ("ann", "bob")
# Odd lengths, so that no two sums meet a limit exactly.
STEPS_S = (0.31, 1.13, 2.37, 5.71, 11.19, 23.3, 47.1, 310.7)
jobs = st.sampled_from(JOBS)
queues = st.sampled_from((QUEUE, CONTROL))
picks = st.integers(0, 10_000)
T = TypeVar("T")


@dataclass(frozen=True)
class Message:
    """A message and its token in each ledger."""

    queue: str
    job_id: str
    entry: str
    tokens: tuple[str, str]


@dataclass(frozen=True)
class Twins:
    """A lease in each ledger."""

    leases: tuple[Lease, Lease]

    @property
    def entry(self) -> str:
        return self.leases[0].entry


class LedgerTwins(RuleBasedStateMachine):
    """Does the same to both ledgers."""

    redis_url: str

    @initialize()
    def start(self) -> None:
        with redis.Redis.from_url(self.redis_url) as client:
            client.flushdb()
        ledger, memory, self.clock = twin_ledgers(self.redis_url)
        self.client = ledger._client
        self.ledgers: tuple[Ledger, Ledger] = (ledger, memory)
        self.messages: list[Message] = []
        self.twins: list[Twins] = []
        self.results: list[tuple[Twins, str]] = []
        self.nonces: dict[Message, str] = {}
        self.number = 0
        self.same(lambda ledger: ledger.confirm())

    def teardown(self) -> None:
        if hasattr(self, "client"):
            self.client.close()

    def same(self, call: Callable[[Ledger], T]) -> T:
        """Calls both ledgers and demands the same answer."""
        answers = [call(ledger) for ledger in self.ledgers]
        assert answers[0] == answers[1]
        return answers[0]

    def sendings(self, call: Callable[[Ledger], tuple[Sending, ...]]) -> None:
        """Notes the messages that both ledgers want to be sent, which must be the same in the same order."""
        ours, theirs = (call(ledger) for ledger in self.ledgers)
        assert [(s.queue, s.job_id, s.entry) for s in ours] == [(s.queue, s.job_id, s.entry) for s in theirs]
        for one, two in zip(ours, theirs, strict=True):
            message = Message(one.queue, one.job_id, one.entry, (one.token, two.token))
            if message not in self.messages:
                self.messages.append(message)

    def fresh(self) -> str:
        self.number += 1
        return f"n{self.number:05d}"

    # -- jobs ---------------------------------------------------------------------------------------
    def told(
        self, job_id: str, owner: str, paused: bool, priority: int, expires_in_s: float | None
    ) -> LedgerJob:
        expires_at = None if expires_in_s is None else round(self.clock() + expires_in_s, 6)
        return LedgerJob(job_id, owner, QUEUE, "copy", 1.5, paused, priority, expires_at)

    @rule(
        job_id=jobs,
        owner=st.sampled_from(OWNERS),
        paused=st.sampled_from((False, False, True)),
        priority=st.integers(-1, 1),
        expires_in_s=st.sampled_from((None, None, None, 50.3)),
    )
    def enter(self, job_id: str, owner: str, paused: bool, priority: int, expires_in_s: float | None) -> None:
        job = self.told(job_id, owner, paused, priority, expires_in_s)
        self.same(lambda ledger: ledger.enter(job))

    @rule(job_id=jobs, shards=st.integers(0, 4))
    def plan(self, job_id: str, shards: int) -> None:
        self.same(lambda ledger: ledger.planned(job_id, "plan1", shards, 3 * shards))

    @rule(job_id=jobs, paused=st.booleans(), priority=st.integers(-1, 1))
    def decide(self, job_id: str, paused: bool, priority: int) -> None:
        self.same(lambda ledger: ledger.decide(job_id, paused=paused, priority=priority, expires_at=None))

    @rule(job_id=jobs)
    def cancel(self, job_id: str) -> None:
        self.same(lambda ledger: ledger.cancel(job_id, "cancelled", "why"))

    @rule(job_id=jobs)
    def end(self, job_id: str) -> None:
        view = self.ledgers[1].job(job_id)
        if view is not None and not view.state.ended:
            counts = Counts(total=3, succeeded=2, failed=1)
            self.same(lambda ledger: ledger.ended(job_id, JobState.COMPLETED, counts))

    @rule(job_id=jobs)
    def forget(self, job_id: str) -> None:
        self.same(lambda ledger: ledger.forget(job_id))

    # -- entries ------------------------------------------------------------------------------------
    @rule(queue=queues, depth=st.sampled_from((0, 0, 0, 1, 3)))
    def dispatch(self, queue: str, depth: int) -> None:
        self.sendings(lambda ledger: tuple(ledger.dispatch(queue, depth)))

    @precondition(lambda self: self.messages)
    @rule(pick=picks, again=st.booleans())
    def begin(self, pick: int, again: bool) -> None:
        """Any message may come, however old, however often, as a new delivery or one whose reply was lost."""
        self.deliver(self.messages[pick % len(self.messages)], again)

    @precondition(lambda self: self.messages)
    @rule(pick=st.integers(0, 2))
    def begin_the_newest(self, pick: int) -> None:
        self.deliver(self.messages[-1 - pick % len(self.messages)], False)

    def deliver(self, message: Message, again: bool) -> None:
        nonce = self.nonces.get(message, "") if again else ""
        nonce = self.nonces[message] = nonce or self.fresh()
        answers = [
            ledger.begin(message.job_id, message.entry, token, worker="w", nonce=nonce)
            for ledger, token in zip(self.ledgers, message.tokens, strict=True)
        ]
        if any(isinstance(answer, Refusal) for answer in answers):
            assert answers[0] == answers[1]
            return
        ours, theirs = (answer for answer in answers if isinstance(answer, Lease))
        assert replace(ours, token="") == replace(theirs, token="")
        self.twins.append(Twins((ours, theirs)))

    @precondition(lambda self: self.twins)
    @rule(pick=picks, items=st.sets(st.integers(0, 2), max_size=2))
    def native(self, pick: int, items: set[int]) -> None:
        twins = self.twins[pick % len(self.twins)]
        for ledger, lease in zip(self.ledgers, twins.leases, strict=True):
            ledger.native(lease, sorted(items - set(lease.held)))

    @precondition(lambda self: self.twins)
    @rule(newest=st.booleans(), pick=picks, failed=st.integers(0, 1))
    def finish(self, newest: bool, pick: int, failed: int) -> None:
        twins = self.twins[-1 if newest else pick % len(self.twins)]
        entry = twins.entry.removeprefix("bury.")
        if entry[0].isdigit():
            result = ResultName(self.fresh(), 3 - failed, failed, 0, twins.leases[0].held)
            self.offer(twins, str(result))

    @precondition(lambda self: self.results)
    @rule(pick=picks)
    def finish_again(self, pick: int) -> None:
        self.offer(*self.results[pick % len(self.results)])

    def offer(self, twins: Twins, result: str) -> None:
        answers = [
            ledger.finish(replace(lease, entry=lease.entry.removeprefix("bury.")), result, seconds=1.5)
            for ledger, lease in zip(self.ledgers, twins.leases, strict=True)
        ]
        assert answers[0] == answers[1]
        self.results.append((twins, result))

    @precondition(lambda self: self.twins)
    @rule(newest=st.booleans(), pick=picks)
    def finish_control(self, newest: bool, pick: int) -> None:
        twins = self.twins[-1 if newest else pick % len(self.twins)]
        if not twins.entry[0].isdigit():
            for ledger, lease in zip(self.ledgers, twins.leases, strict=True):
                ledger.finish_control(lease)

    @precondition(lambda self: self.twins)
    @rule(newest=st.booleans(), pick=picks, blame=st.booleans())
    def release(self, newest: bool, pick: int, blame: bool) -> None:
        twins = self.twins[-1 if newest else pick % len(self.twins)]
        for ledger, lease in zip(self.ledgers, twins.leases, strict=True):
            ledger.release(lease, blame=blame)

    @precondition(lambda self: self.twins)
    @rule(picked=st.lists(picks, max_size=3))
    def pulse(self, picked: list[int]) -> None:
        chosen = [self.twins[pick % len(self.twins)] for pick in picked]
        answers = [
            ledger.pulse([twins.leases[place] for twins in chosen])
            for place, ledger in enumerate(self.ledgers)
        ]
        assert answers[0] == answers[1]

    # -- time and the steward -----------------------------------------------------------------------
    @rule(seconds=st.sampled_from(STEPS_S))
    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(queue=queues, depth=st.sampled_from((0, 0, 0, 2)))
    def sweep(self, queue: str, depth: int) -> None:
        sweeps = [ledger.sweep(queue, depth) for ledger in self.ledgers]
        assert replace(sweeps[0], resend=()) == replace(sweeps[1], resend=())
        self.sendings(lambda ledger: sweeps[self.ledgers.index(ledger)].resend)

    @rule(queue=queues)
    def let_the_queue_run_dry(self, queue: str) -> None:
        """Two looks at an empty queue: what was sent and not begun is lost."""
        self.sweep(queue, 0)
        self.clock.advance(2.11)
        self.sweep(queue, 0)

    # -- what usually happens, so that deep states are reached ---------------------------------------
    @rule(job_id=jobs, shards=st.integers(1, 3))
    def submit(self, job_id: str, shards: int) -> None:
        """A job is entered, planned, and its planning done."""
        self.enter(job_id, "ann", paused=False, priority=0, expires_in_s=None)
        self.dispatch(CONTROL, 0)
        if self.messages and self.messages[-1].entry == "plan":
            self.deliver(self.messages[-1], again=False)
            self.plan(job_id, shards)
            self.finish_control(newest=True, pick=0)

    @rule(queue=queues)
    def dispatch_and_begin(self, queue: str) -> None:
        before = len(self.messages)
        self.dispatch(queue, 0)
        for message in self.messages[before:]:
            self.deliver(message, again=False)

    @rule(queue=queues, dead_in_native=st.booleans())
    def all_workers_die(self, queue: str, dead_in_native: bool) -> None:
        """Every running entry's lease ends."""
        if dead_in_native and self.twins:
            self.native(len(self.twins) - 1, {0})
        self.clock.advance(310.7)
        self.sweep(queue, 1)

    @rule(
        job_id=jobs,
        shards=st.integers(0, 3),
        finished=st.sets(st.integers(0, 2)),
        held=st.booleans(),
        cancelled=st.sampled_from(("", "", "", "cancelled")),
        paused=st.booleans(),
    )
    def restore(
        self, *, job_id: str, shards: int, finished: set[int], held: bool, cancelled: str, paused: bool
    ) -> None:
        known = self.ledgers[1].job(job_id)
        if known is not None and known.plan_token:
            shards = known.shards  # a job has one plan
        names = {
            str(shard): str(ResultName(self.fresh(), 2, 0, 0, (1,) if held and shard == 0 else ()))
            for shard in finished
            if shard < shards
        }
        owner = known.owner if known is not None else "ann"
        told = self.told(job_id, owner, paused, 0, None)
        plan_token = "plan1" if shards else ""
        wanted = Restore(told, plan_token, shards, 3 * shards, names if plan_token else {}, cancelled)
        self.same(lambda ledger: ledger.restore(wanted))

    # -- workers ------------------------------------------------------------------------------------
    @rule(worker=st.sampled_from(("w1", "w2")), slots=st.integers(1, 6), queue=queues)
    def beat(self, worker: str, slots: int, queue: str) -> None:
        beat = Beat(worker, (queue,), slots, ("copy",), "cpu")
        self.same(lambda ledger: ledger.beat(beat))

    @rule(worker=st.sampled_from(("w1", "w2")))
    def depart(self, worker: str) -> None:
        self.same(lambda ledger: ledger.depart(worker))

    # -- what both show -----------------------------------------------------------------------------
    @invariant()
    def both_show_the_same(self) -> None:
        if not hasattr(self, "ledgers"):
            return
        for job_id in JOBS:
            self.same(lambda ledger, job_id=job_id: shown(ledger.job(job_id)))
            self.same(lambda ledger, job_id=job_id: ledger.winners(job_id))
        self.same(lambda ledger: ledger.known(JOBS))
        self.same(lambda ledger: ledger.backlog())
        self.same(lambda ledger: sorted(beat.worker for beat in ledger.workers()))
        paces = [ledger.pace("copy") for ledger in self.ledgers]
        assert paces[0] == (None if paces[1] is None else pytest.approx(paces[1]))


def shown(view: JobView | None) -> JobView | None:
    """Without the rate, which each ledger fades as it likes."""
    if view is None:
        return None
    return replace(view, rate=0.0, started_at=view.started_at and round(view.started_at, 5))


@pytest.mark.timeout(240)
def test_both_ledgers_do_the_same(redis_url: str) -> None:
    """Under any order of calls, deliveries, deaths and losses, both ledgers answer and show the same."""
    machine = type("Machine", (LedgerTwins,), {"redis_url": redis_url})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=100,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=(Phase.explicit, Phase.generate, Phase.shrink),
        ),
    )
