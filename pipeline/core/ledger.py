"""The ledger: what waits, what is in flight, what is finished. The broker may lose, double or delay messages.

An *entry* is what one Celery message carries: "17" is shard 17 of a job, "17.4" its item 4 run alone because
a worker died over it, "plan", "finalise" and "bury.17" are the control worker's. Every entry goes

    waiting --dispatch--> sent --begin--> running --finish--> finished
       ^                    |                |
       +---- (lost: sent again, same token)  +--- lease ends, release: waiting again, an attempt used up

`pipeline.core.redis_ledger` keeps it in Redis (Lua scripts, Redis TIME), `pipeline.core.memory` in memory for
tests; one suite holds both to what is written here. docs/adr/0001 says why it exists beside the broker.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from pipeline.core.jobs import Counts, Decision, JobSpec, JobState

CONTROL = "control"
MAX_ATTEMPTS = 5  # begun runs of an entry, before its unfinished items fail with worker_lost
MAX_SENDS = 5  # sendings that nobody began, before the job fails with undeliverable
MAX_QUIET_DEATHS = 3  # deaths over one item run alone, before it fails with worker_lost
LEAST_SLOTS = 2  # room that is assumed before a worker has shown itself
LOST_AFTER_S = 2.0  # the queue is empty for so long, and what was sent before has not begun
OVERTAKEN_AFTER_S = 5.0  # a shard sent later began so long ago
BEAT_S = 10.0  # a worker that was silent for longer has no slots


@dataclass(frozen=True)
class LedgerJob:
    """A job as the ledger is told of it."""

    job_id: str
    owner: str
    queue: str
    operation: str
    created_at: float
    paused: bool = False
    priority: int = 0
    expires_at: float | None = None

    @classmethod
    def of(cls, spec: JobSpec, decision: Decision) -> LedgerJob:
        """What the ledger is told of a stored job and what its user decided."""
        return cls(
            job_id=spec.id,
            owner=spec.owner,
            queue=spec.queue,
            operation=spec.operations,
            created_at=spec.created_at,
            paused=decision.paused,
            priority=decision.priority,
            expires_at=decision.expires_at,
        )


@dataclass(frozen=True)
class Sending:
    """An entry to send to `queue` now. `token` names this sending."""

    queue: str
    job_id: str
    entry: str
    token: str


class Refusal(StrEnum):
    """Why a message is dropped. All are harmless."""

    UNKNOWN = "unknown"  # no such job here (ended, deleted, or the ledger was emptied)
    FINISHED = "finished"  # this entry has its winner
    STALE = "stale"  # another sending of the entry counts
    TAKEN = "taken"  # somebody runs it under a living lease
    CANCELLED = "cancelled"  # its job is being cancelled


@dataclass(frozen=True)
class Lease:
    """The right to run an entry until the deadline; `pulse` renews it.

    Attributes:
        token: Names this run; another than the message's after a takeover.
        attempt: 1 for the first run of the entry.
        held: Indices of items to leave out: suspects, which run as entries of their own.
        plan_token: Under which the job's manifest lies ("" while it is being planned).
    """

    job_id: str
    entry: str
    token: str
    attempt: int
    lease_s: float
    held: tuple[int, ...] = ()
    plan_token: str = ""

    @property
    def quiet(self) -> bool:
        """Whether it must run in a process whose other threads are idle."""
        return self.entry[0].isdigit() and "." in self.entry


@dataclass(frozen=True)
class Pulse:
    """What became of a lease at a pulse."""

    held: bool
    cancelled: bool


class Finish(StrEnum):
    """What `finish` made of a result."""

    WON = "won"
    ALREADY = "already"  # this very result had won before (a repeated call)
    LOST = "lost"  # another result counts
    UNKNOWN = "unknown"  # the ledger does not know the job: the result stays, reconciliation finds it


@dataclass(frozen=True)
class Beat:
    """A worker process's sign of life."""

    worker: str
    queues: tuple[str, ...]
    slots: int
    operations: tuple[str, ...]
    device: str


@dataclass(frozen=True)
class JobView:
    """A job as the ledger sees it.

    Attributes:
        state: Its state.
        reason: Why it is cancelling ("cancelled", "expired", or the code of the error that failed it).
        started_at: When the first of its shards began.
        entries: Shards, plus suspect items; 0 until planned.
        rate: Items a second over about the last 30 s.
        waiting: Shards and suspect items.
        in_flight: The same, and the planning.
    """

    job_id: str
    owner: str
    queue: str
    operation: str
    state: JobState
    paused: bool
    priority: int
    counts: Counts
    created_at: float
    started_at: float | None = None
    expires_at: float | None = None
    reason: str = ""
    message: str = ""
    plan_token: str = ""
    shards: int = 0
    entries: int = 0
    finished: int = 0
    rate: float = 0.0
    waiting: int = 0
    in_flight: int = 0


@dataclass(frozen=True)
class Sweep:
    """What the steward's look at a queue came to."""

    resend: tuple[Sending, ...] = ()
    put_back: tuple[str, ...] = ()  # "job/entry" whose lease had ended
    undeliverable: tuple[str, ...] = ()  # jobs
    expired: tuple[str, ...] = ()  # jobs whose time is up


@dataclass(frozen=True)
class Restore:
    """A job as storage knows it, for reconciliation.

    Attributes:
        plan_token: "" when there is no plan.json.
        finished: For each entry with results, the text of its `ResultName`; one each, already chosen.
    """

    job: LedgerJob
    plan_token: str = ""
    shards: int = 0
    items: int = 0
    finished: Mapping[str, str] = field(default_factory=dict)
    cancelled: str = ""  # a reason, when the user cancelled or the time is up


class Ledger(Protocol):
    """Every method is atomic and may raise BrokerUnavailable. Times are the server's, in seconds."""

    # -- jobs ---------------------------------------------------------------------------------------
    def enter(self, job: LedgerJob) -> bool:
        """Makes a job known in state accepted, with "plan" waiting in the control queue.

        Returns:
            False, and nothing changes, if the job is known.
        """

    def planned(self, job_id: str, plan_token: str, shards: int, items: int) -> None:
        """The plan stands: its shards wait, in order, and the job runs. A second call changes nothing.

        While the job is cancelling, no shard waits.
        """

    def job(self, job_id: str) -> JobView | None:
        """The job, or None. Jobs that ended are remembered for `keep_ledger_s`."""

    def known(self, job_ids: Sequence[str]) -> set[str]:
        """Those of the jobs that the ledger knows."""

    def winners(self, job_id: str) -> dict[str, str]:
        """For each finished shard or suspect entry, the text of the `ResultName` that won."""

    def settled_winners(self, job_id: str) -> dict[str, str] | None:
        """The same, to end a job by; None while `reconciled` does not hold (the last second may be lost)."""

    def decide(self, job_id: str, *, paused: bool, priority: int, expires_at: float | None) -> None:
        """Takes over what a user decided. A paused job's shards are not dispatched; what runs goes on."""

    def cancel(self, job_id: str, reason: str, message: str = "") -> None:
        """Stops a job: nothing of it waits or is sent any more, what runs may finish.

        Once none of its shards and no planning runs, "finalise" waits in the control queue. A job that has
        ended, is being cancelled, or only waits for its finalise is left as it is.

        Args:
            job_id: The job.
            reason: "cancelled", "expired", or the code of the error that fails it.
            message: For a failed job, the sentence for the user.
        """

    def ended(self, job_id: str, state: JobState, counts: Counts) -> None:
        """The finaliser is done: the state is final; only what `job` shows is kept, for `keep_ledger_s`."""

    def forget(self, job_id: str) -> None:
        """Forgets a job altogether."""

    # -- entries ------------------------------------------------------------------------------------
    def dispatch(self, queue: str, depth: int) -> list[Sending]:
        """Moves entries from waiting to sent while there is room; the caller sends the messages.

        Room is the queue's live slots (LEAST_SLOTS at least) less what runs and the larger of `depth` and
        what was sent in the last LOST_AFTER_S. Next is the owner with the fewest entries in flight in the
        queue, of its jobs the one with the highest priority, among equals in turn. Nothing is dispatched
        while `reconciled` does not hold.

        Args:
            queue: The queue.
            depth: How many messages the broker holds for it.
        """

    def begin(self, job_id: str, entry: str, token: str, *, worker: str, nonce: str) -> Lease | Refusal:
        """Compare-and-set from sent to running, the first statement of a task.

        The own token under a dead lease is taken over: a new token, another attempt, suspects split off as
        after any death. Repeated with the same nonce (its reply was lost), it answers the same again.
        """

    def pulse(self, leases: Sequence[Lease]) -> list[Pulse]:
        """Renews leases. A late renewal holds while nobody took over."""

    def native(self, lease: Lease, items: Iterable[int]) -> None:
        """Names the items that are in native code now. Does nothing for a lease that is lost."""

    def finish(self, lease: Lease, result: str, *, seconds: float) -> Finish:
        """Counts an entry once and names its winner: the first finisher, even after its lease.

        It answers LOST if the shard has suspects that the result does not leave out. What a result leaves
        out that the ledger does not know (it lost its last second) becomes a suspect entry. When the last
        entry finishes, "finalise" waits in the control queue.

        Args:
            lease: The lease.
            result: Text of the `ResultName`.
            seconds: How long the run took, for `pace`.
        """

    def finish_control(self, lease: Lease) -> None:
        """A control entry is done."""

    def release(self, lease: Lease, *, blame: bool) -> None:
        """Gives an entry back at once, first in line (a suspect: last). With blame an attempt is used up."""

    # -- the steward --------------------------------------------------------------------------------
    def sweep(self, queue: str, depth: int) -> Sweep:
        """Puts back entries whose lease has ended, and names those to send again.

        A death makes suspects of the items that were in native code: each becomes an entry of its own,
        last in line, left out of its shard. A suspect entry that dies in native code MAX_QUIET_DEATHS times,
        or any shard that used up MAX_ATTEMPTS, is not put back: "bury.<entry>" waits in the control queue
        instead. A "plan" that used them up cancels its job; "finalise" and "bury" are tried for ever.
        A message is lost if it was sent, not begun, and the queue has been empty since for LOST_AFTER_S, or
        an entry sent later to this queue began more than OVERTAKEN_AFTER_S ago; it is sent again under the
        same token, MAX_SENDS times in all ("finalise": for ever), then its job is cancelled with reason
        "undeliverable".
        With queue CONTROL it also cancels jobs whose `expires_at` has passed.
        Just after the server has started nothing counts as dead: workers need a moment to renew. While
        `reconciled` does not hold it does nothing at all.
        """

    def queues(self) -> list[str]:
        """Every queue that has or had entries, CONTROL first."""

    def reconciled(self) -> bool:
        """Whether this is the same run of the server that was last reconciled with storage."""

    def restore(self, job: Restore) -> None:
        """Makes a job known as storage knows it, and keeps what the ledger already knows better.

        Results that it had not counted are counted; entries that neither wait, nor are in flight, nor are
        finished wait again. Suspects are those that the winning results leave out.
        """

    def confirm(self) -> None:
        """All is reconciled with storage: `reconciled` holds for the run of the server it last looked at."""

    # -- workers ------------------------------------------------------------------------------------
    def beat(self, beat: Beat) -> None:
        """A worker lives."""

    def depart(self, worker: str) -> None:
        """A worker goes; its slots are no more."""

    def workers(self) -> list[Beat]:
        """Workers heard of in the last BEAT_S."""

    def pace(self, operation: str) -> float | None:
        """Measured seconds an item of this operation (moving mean over shards), or None."""

    def backlog(self) -> dict[str, tuple[int, int]]:
        """For each queue: entries waiting, entries in flight."""

    def durable(self) -> None:
        """Waits until what was written is on the server's disk (WAITAOF), where it can tell."""

    def check(self) -> None:
        """Raises BrokerUnavailable unless the server answers."""
