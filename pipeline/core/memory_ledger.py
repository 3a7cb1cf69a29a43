"""The ledger in memory, for tests: the model that the Redis one is held against.

Written from `pipeline.core.ledger`'s words alone, one lock around everything, no cleverness.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from pipeline.core.jobs import ENDED, Counts, JobState
from pipeline.core.keys import ResultName
from pipeline.core.ledger import (
    BEAT_S,
    CONTROL,
    LEAST_SLOTS,
    LOST_AFTER_S,
    MAX_ATTEMPTS,
    MAX_QUIET_DEATHS,
    MAX_SENDS,
    OVERTAKEN_AFTER_S,
    Beat,
    Finish,
    JobView,
    Lease,
    LedgerJob,
    Pulse,
    Refusal,
    Restore,
    Sending,
    Sweep,
)
from pipeline.core.memory_job import MemoryJob, RunningEntry, SentEntry, is_work

RATE_OVER_S = 30.0
PACE_WEIGHT = 0.2  # of the newest shard in the moving mean


class MemoryLedger:
    """See `pipeline.core.ledger.Ledger`. `now` is the server's clock."""

    def __init__(
        self,
        *,
        lease_s: float = 20,
        lease_max_s: float = 300,
        keep_s: float = 3600,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._lease_s = lease_s
        self._lease_max_s = lease_max_s
        self._keep_s = keep_s
        self._now = now
        self._lock = threading.RLock()
        self._tokens = itertools.count(1)
        self._turns = itertools.count(1)
        self._jobs: dict[str, MemoryJob] = {}
        self._queues: set[str] = set()
        self._beats: dict[str, tuple[float, Beat]] = {}
        self._pace: dict[str, float] = {}
        self._begun: dict[str, list[tuple[float, float]]] = {}  # (sent, begun) by queue
        self._started_at = float("-inf")
        self._reconciled = False

    def restarted(self) -> None:
        """For tests: as if the server had started anew on the same data."""
        with self._lock:
            self._started_at = self._now()
            self._reconciled = False

    # -- jobs ---------------------------------------------------------------------------------------
    def enter(self, job: LedgerJob) -> bool:
        with self._lock:
            if self._find(job.job_id) is not None:
                return False
            self._wait(self._make(job), "plan")
            return True

    def planned(self, job_id: str, plan_token: str, shards: int, items: int) -> None:
        with self._lock:
            job = self._find(job_id)
            if job is None or job.plan_token or job.state in ENDED:
                return
            job.plan_token, job.shards = plan_token, shards
            job.counts = job.counts.model_copy(update={"total": items})
            if job.state is JobState.CANCELLING:
                return
            job.state = JobState.RUNNING
            for shard in range(shards):
                self._wait(job, str(shard))

    def job(self, job_id: str) -> JobView | None:
        with self._lock:
            job = self._find(job_id)
            return None if job is None else self._view(job)

    def known(self, job_ids: Sequence[str]) -> set[str]:
        with self._lock:
            return {job_id for job_id in job_ids if self._find(job_id) is not None}

    def winners(self, job_id: str) -> dict[str, str]:
        with self._lock:
            job = self._find(job_id)
            return {} if job is None or job.state in ENDED else dict(job.finished)

    def settled_winners(self, job_id: str) -> dict[str, str] | None:
        with self._lock:
            return self.winners(job_id) if self._reconciled else None

    def decide(self, job_id: str, *, paused: bool, priority: int, expires_at: float | None) -> None:
        with self._lock:
            job = self._live(job_id)
            if job is not None:
                job.paused, job.priority, job.expires_at = paused, priority, expires_at
                self._queue_anew(job)

    def cancel(self, job_id: str, reason: str, message: str = "") -> None:
        with self._lock:
            if not self._can_be_cancelled(job_id):
                return
            job = self._jobs[job_id]
            job.state, job.reason, job.message = JobState.CANCELLING, reason, message
            job.waiting.clear()
            job.sent.clear()
            self._close_if_over(job)

    def ended(self, job_id: str, state: JobState, counts: Counts) -> None:
        with self._lock:
            job = self._live(job_id)
            if job is None:
                return
            job.state, job.counts, job.ended_at = state, counts, self._now()
            job.waiting.clear()
            job.sent.clear()
            job.running.clear()

    def forget(self, job_id: str) -> None:
        with self._lock:
            self._jobs.pop(job_id, None)

    # -- entries ------------------------------------------------------------------------------------
    def dispatch(self, queue: str, depth: int) -> list[Sending]:
        with self._lock:
            if not self._reconciled:
                return []
            sendings: list[Sending] = []
            room = self._room(queue, depth)
            while len(sendings) < room and (job := self._next(queue)) is not None:
                entry = job.line(queue).popleft()
                token = self._token()
                job.sent[entry] = SentEntry(token, self._now())
                job.turn[queue] = next(self._turns)
                sendings.append(Sending(queue, job.told.job_id, entry, token))
            return sendings

    def begin(self, job_id: str, entry: str, token: str, *, worker: str, nonce: str) -> Lease | Refusal:  # noqa: ARG002
        with self._lock:
            job = self._live(job_id)
            if job is None:
                return Refusal.UNKNOWN
            if entry in job.finished:
                return Refusal.FINISHED
            run = job.running.get(entry)
            if run is not None:
                return self._begin_again(job, entry, run, token, nonce)
            sent = job.sent.get(entry)
            if sent is None or sent.token != token:
                return Refusal.STALE
            del job.sent[entry]
            self._begun.setdefault(job.queue_of(entry), []).append((sent.at, self._now()))
            if entry == "plan" and job.state is JobState.ACCEPTED:
                job.state = JobState.PLANNING
            if entry != "plan" and is_work(entry) and job.started_at is None:
                job.started_at = self._now()
            return self._run(job, entry, sending=token, token=token, nonce=nonce)

    def _begin_again(
        self, job: MemoryJob, entry: str, run: RunningEntry, token: str, nonce: str
    ) -> Lease | Refusal:
        """What a message gets whose entry runs already."""
        if token != run.sending:
            return Refusal.STALE
        if nonce == run.nonce:
            return replace(run.lease, plan_token=job.plan_token)
        if run.deadline > self._now():
            return Refusal.TAKEN
        if job.state is JobState.CANCELLING and is_work(entry):
            del job.running[entry]
            self._close_if_over(job)
            return Refusal.CANCELLED
        self._account_death(job, entry)
        if self._is_hopeless(job, entry):
            self._line_up_again(job, entry)
            return Refusal.STALE
        return self._run(job, entry, sending=token, token=self._token(), nonce=nonce)

    def pulse(self, leases: Sequence[Lease]) -> list[Pulse]:
        with self._lock:
            return [self._pulse(lease) for lease in leases]

    def native(self, lease: Lease, items: Iterable[int]) -> None:
        with self._lock:
            run = self._running(lease)
            if run is not None:
                run.native = frozenset(items)

    def finish(self, lease: Lease, result: str, *, seconds: float) -> Finish:
        with self._lock:
            job = self._live(lease.job_id)
            if job is None:
                return Finish.UNKNOWN
            if lease.entry in job.finished:
                return Finish.ALREADY if job.finished[lease.entry] == result else Finish.LOST
            name = ResultName.parse(result)
            shard, _, item = lease.entry.partition(".")
            if item and int(item) not in job.held.get(shard, ()):
                return Finish.LOST
            if not set(job.held.get(lease.entry, ())) <= set(name.held):
                return Finish.LOST
            job.remove(lease.entry)
            self._count(job, lease.entry, result, wait=True)
            items = name.succeeded + name.failed + name.cancelled
            if items:
                self._note_pace(job.told.operation, seconds / items)
            self._close_if_over(job)
            return Finish.WON

    def finish_control(self, lease: Lease) -> None:
        with self._lock:
            job = self._live(lease.job_id)
            if job is not None and self._running(lease) is not None:
                job.remove(lease.entry)
                job.attempts.pop(lease.entry, None)
                self._close_if_over(job)

    def release(self, lease: Lease, *, blame: bool) -> None:
        with self._lock:
            job = self._live(lease.job_id)
            if job is None or self._running(lease) is None:
                return
            del job.running[lease.entry]
            if job.state is JobState.CANCELLING and is_work(lease.entry):
                self._close_if_over(job)
                return
            if blame:
                job.attempts[lease.entry] = job.attempts.get(lease.entry, 0) + 1
            self._line_up_again(job, lease.entry)

    # -- the steward --------------------------------------------------------------------------------
    def sweep(self, queue: str, depth: int) -> Sweep:
        with self._lock:
            if not self._reconciled:
                return Sweep()
            put_back = [] if self._just_started() else self._put_back_the_dead(queue)
            resend, undeliverable = self._find_lost(queue, depth)
            expired = self._expire() if queue == CONTROL else []
            return Sweep(tuple(resend), tuple(put_back), tuple(undeliverable), tuple(expired))

    def queues(self) -> list[str]:
        with self._lock:
            return [CONTROL, *sorted(self._queues)]

    def reconciled(self) -> bool:
        with self._lock:
            return self._reconciled

    def restore(self, restore: Restore) -> None:
        told = restore.job
        with self._lock:
            job = self._find(told.job_id) or self._make(told)
            if job.state in ENDED:
                return
            job.paused, job.priority, job.expires_at = told.paused, told.priority, told.expires_at
            if restore.plan_token:
                self._restore_plan(job, restore)
            elif job.state in (JobState.ACCEPTED, JobState.PLANNING) and not job.is_somewhere("plan"):
                self._wait(job, "plan")
            if job.finalising and not job.is_somewhere("finalise"):
                self._wait(job, "finalise")
            self._queue_anew(job)
            if restore.cancelled:
                self.cancel(told.job_id, restore.cancelled)
            self._close_if_over(job)

    def confirm(self) -> None:
        with self._lock:
            self._reconciled = True

    # -- workers ------------------------------------------------------------------------------------
    def beat(self, beat: Beat) -> None:
        with self._lock:
            self._beats[beat.worker] = (self._now(), beat)

    def depart(self, worker: str) -> None:
        with self._lock:
            self._beats.pop(worker, None)

    def workers(self) -> list[Beat]:
        with self._lock:
            alive_since = self._now() - BEAT_S
            return [beat for at, beat in self._beats.values() if at >= alive_since]

    def pace(self, operation: str) -> float | None:
        with self._lock:
            return self._pace.get(operation)

    def backlog(self) -> dict[str, tuple[int, int]]:
        with self._lock:
            return {
                queue: (
                    sum(len(job.line(queue)) for job in self._jobs.values()),
                    sum(job.in_flight(queue) for job in self._jobs.values()),
                )
                for queue in self.queues()
            }

    def durable(self) -> None:
        """Memory is as durable as it gets."""

    def check(self) -> None:
        """It is always there."""

    # -- jobs, within -------------------------------------------------------------------------------
    def _find(self, job_id: str) -> MemoryJob | None:
        job = self._jobs.get(job_id)
        if job is not None and job.ended_at is not None and self._now() - job.ended_at >= self._keep_s:
            del self._jobs[job_id]
            return None
        return job

    def _live(self, job_id: str) -> MemoryJob | None:
        job = self._find(job_id)
        return None if job is None or job.state in ENDED else job

    def _make(self, told: LedgerJob) -> MemoryJob:
        job = MemoryJob(told, told.paused, told.priority, told.expires_at)
        self._jobs[told.job_id] = job
        self._queues.add(told.queue)
        return job

    def _view(self, job: MemoryJob) -> JobView:
        told, queue = job.told, job.told.queue
        since = self._now() - RATE_OVER_S
        recent = sum(items for at, items in job.finishes if at >= since)
        return JobView(
            job_id=told.job_id,
            owner=told.owner,
            queue=queue,
            operation=told.operation,
            state=job.state,
            paused=job.paused,
            priority=job.priority,
            counts=job.counts,
            created_at=told.created_at,
            started_at=job.started_at,
            expires_at=job.expires_at,
            reason=job.reason,
            message=job.message,
            plan_token=job.plan_token,
            shards=job.shards,
            entries=job.entries,
            finished=len(job.finished),
            rate=recent / RATE_OVER_S,
            waiting=len(job.line(queue)),
            in_flight=job.work_in_flight(),
        )

    def _close_if_over(self, job: MemoryJob) -> None:
        """Enters the finalise, once, when there is nothing else to wait for."""
        if job.state is JobState.CANCELLING:
            over = not job.work_in_flight()
        else:
            over = job.state is JobState.RUNNING and len(job.finished) == job.entries
        if over and not job.finalising:
            job.finalising = True
            self._wait(job, "finalise")

    def _restore_plan(self, job: MemoryJob, restore: Restore) -> None:
        if not job.plan_token:
            job.plan_token, job.shards = restore.plan_token, restore.shards
            job.counts = job.counts.model_copy(update={"total": restore.items})
        if job.state is not JobState.CANCELLING:
            job.state = JobState.RUNNING
        for entry, result in restore.finished.items():
            if entry not in job.finished:
                job.remove(entry)
                self._count(job, entry, result, wait=False)
        if job.state is JobState.CANCELLING:
            return
        suspects = [f"{shard}.{item}" for shard, items in job.held.items() for item in items]
        for entry in [*map(str, range(job.shards)), *suspects]:
            if not job.is_somewhere(entry) and not job.is_somewhere(f"bury.{entry}"):
                self._wait(job, entry)

    # -- entries, within ----------------------------------------------------------------------------
    def _token(self) -> str:
        return f"{next(self._tokens):08d}"

    def _wait(self, job: MemoryJob, entry: str, *, first: bool = False) -> None:
        queue = job.queue_of(entry)
        line = job.line(queue)
        if not line:
            job.turn[queue] = next(self._turns)
        if first:
            line.appendleft(entry)
        else:
            line.append(entry)

    def _queue_anew(self, job: MemoryJob) -> None:
        """Its turn comes after those of the same owner's other jobs of its priority."""
        for queue in (job.told.queue, CONTROL):
            job.turn[queue] = next(self._turns)

    def _room(self, queue: str, depth: int) -> int:
        slots = sum(beat.slots for beat in self.workers() if queue in beat.queues)
        jobs = self._jobs.values()
        running = sum(job.queue_of(entry) == queue for job in jobs for entry in job.running)
        since = self._now() - LOST_AFTER_S
        recent = sum(
            job.queue_of(entry) == queue and sent.at >= since
            for job in jobs
            for entry, sent in job.sent.items()
        )
        return max(LEAST_SLOTS, slots) - running - max(depth, recent)

    def _next(self, queue: str) -> MemoryJob | None:
        """The job whose turn it is: of the least busy owner, the highest priority, the longest unserved."""
        ready = [
            job for job in self._jobs.values() if job.line(queue) and (queue == CONTROL or not job.paused)
        ]
        if not ready:
            return None
        busy = {job.told.owner: 0 for job in ready}
        for job in self._jobs.values():
            if job.told.owner in busy:
                busy[job.told.owner] += job.in_flight(queue)
        return min(
            ready,
            key=lambda job: (busy[job.told.owner], job.told.owner, -job.priority, job.turn[queue]),
        )

    def _run(self, job: MemoryJob, entry: str, *, sending: str, token: str, nonce: str) -> Lease:
        attempt = job.attempts.get(entry, 0) + 1
        lease = Lease(
            job_id=job.told.job_id,
            entry=entry,
            token=token,
            attempt=attempt,
            lease_s=min(self._lease_s * 2 ** (attempt - 1), self._lease_max_s),
            held=tuple(sorted(job.held.get(entry.removeprefix("bury."), ()))),
            plan_token=job.plan_token,
        )
        job.running[entry] = RunningEntry(sending, nonce, lease, self._now() + lease.lease_s)
        return lease

    def _running(self, lease: Lease) -> RunningEntry | None:
        job = self._live(lease.job_id)
        run = job.running.get(lease.entry) if job is not None else None
        return run if run is not None and run.lease.token == lease.token else None

    def _pulse(self, lease: Lease) -> Pulse:
        job, run = self._live(lease.job_id), self._running(lease)
        if run is not None:
            run.deadline = self._now() + run.lease.lease_s
        return Pulse(run is not None, job is not None and job.state is JobState.CANCELLING)

    def _count(self, job: MemoryJob, entry: str, result: str, *, wait: bool) -> None:
        name = ResultName.parse(result)
        job.finished[entry] = result
        job.counts = Counts(
            total=job.counts.total,
            succeeded=job.counts.succeeded + name.succeeded,
            failed=job.counts.failed + name.failed,
            cancelled=job.counts.cancelled + name.cancelled,
        )
        job.finishes.append((self._now(), name.succeeded + name.failed + name.cancelled))
        job.attempts.pop(entry, None)
        # Also those that it left out for a death which the ledger has forgotten with its last second.
        self._suspect(job, entry, name.held, wait=wait)

    def _suspect(self, job: MemoryJob, shard: str, items: Iterable[int], *, wait: bool = True) -> None:
        """Splits items off their shard, each an entry of its own, last in line."""
        held = job.held.setdefault(shard, [])
        for item in sorted(set(items) - set(held)):
            held.append(item)
            if wait and job.state is not JobState.CANCELLING:
                self._wait(job, f"{shard}.{item}")

    def _note_pace(self, operation: str, seconds: float) -> None:
        before = self._pace.get(operation, seconds)
        self._pace[operation] = before + PACE_WEIGHT * (seconds - before)

    # -- deaths and losses --------------------------------------------------------------------------
    def _just_started(self) -> bool:
        return self._now() - self._started_at < min(10.0, self._lease_s)

    def _account_death(self, job: MemoryJob, entry: str) -> None:
        """A lease has ended: an attempt is used up, and what was in native code is suspect."""
        run = job.running.pop(entry)
        job.attempts[entry] = job.attempts.get(entry, 0) + 1
        if entry.isdigit():
            self._suspect(job, entry, run.native)
        elif run.native:
            job.deaths[entry] = job.deaths.get(entry, 0) + 1

    def _is_hopeless(self, job: MemoryJob, entry: str) -> bool:
        return job.attempts.get(entry, 0) >= MAX_ATTEMPTS or job.deaths.get(entry, 0) >= MAX_QUIET_DEATHS

    def _line_up_again(self, job: MemoryJob, entry: str) -> None:
        if not self._is_hopeless(job, entry) or entry == "finalise" or entry.startswith("bury."):
            self._wait(job, entry, first="." not in entry or entry.startswith("bury."))
        elif entry == "plan":
            message = "the job could not be planned; the workers' log says why"
            self.cancel(job.told.job_id, "internal_error", message)
        else:
            self._wait(job, f"bury.{entry}")

    def _put_back_the_dead(self, queue: str) -> list[str]:
        dead = [
            (run.deadline, f"{job_id}/{entry}", job, entry)
            for job_id, job in self._jobs.items()
            for entry, run in job.running.items()
            if job.queue_of(entry) == queue and run.deadline <= self._now()
        ]
        dead.sort(key=lambda one: one[:2])
        for _, _, job, entry in dead:
            if job.state is JobState.CANCELLING and is_work(entry):
                del job.running[entry]
                self._close_if_over(job)
            else:
                self._account_death(job, entry)
                self._line_up_again(job, entry)
        return [name for _, name, _, _ in dead]

    def _find_lost(self, queue: str, depth: int) -> tuple[list[Sending], list[str]]:
        resend: list[Sending] = []
        undeliverable: list[str] = []
        sent_here = [
            (sent.at, f"{job_id}/{entry}", job, entry)
            for job_id, job in self._jobs.items()
            for entry, sent in job.sent.items()
            if job.queue_of(entry) == queue
        ]
        for _, _, job, entry in sorted(sent_here, key=lambda one: one[:2]):
            sent = job.sent.get(entry)
            if sent is None or not self._is_lost(sent, queue, depth):
                continue
            if sent.sends >= MAX_SENDS and entry != "finalise":
                undeliverable.append(job.told.job_id)
                job.remove(entry)
                message = f"messages for this job were sent {MAX_SENDS} times and nobody began"
                self.cancel(job.told.job_id, "undeliverable", message)
                self._close_if_over(job)
                continue
            sent.sends, sent.at, sent.empty_since = sent.sends + 1, self._now(), None
            resend.append(Sending(queue, job.told.job_id, entry, sent.token))
        return resend, undeliverable

    def _is_lost(self, sent: SentEntry, queue: str, depth: int) -> bool:
        now = self._now()
        begun = self._begun.get(queue, [])
        if any(at > sent.at and now - began_at >= OVERTAKEN_AFTER_S for at, began_at in begun):
            return True
        if depth > 0:
            sent.empty_since = None
        elif sent.empty_since is None:
            sent.empty_since = now
        return sent.empty_since is not None and now - sent.empty_since >= LOST_AFTER_S

    def _expire(self) -> list[str]:
        due = [
            (job.expires_at, job_id)
            for job_id, job in self._jobs.items()
            if job.expires_at is not None and job.expires_at <= self._now()
        ]
        waiting = [job_id for _, job_id in sorted(due) if self._can_be_cancelled(job_id)]
        for job_id in waiting:
            self.cancel(job_id, "expired")
        return waiting

    def _can_be_cancelled(self, job_id: str) -> bool:
        job = self._live(job_id)
        return job is not None and job.state is not JobState.CANCELLING and not job.finalising
