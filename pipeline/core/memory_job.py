"""One job as the ledger in memory keeps it: its line of entries, what is in flight, what is finished."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from pipeline.core.jobs import Counts, JobState
from pipeline.core.ledger import CONTROL, Lease, LedgerJob


def is_work(entry: str) -> bool:
    """Whether a cancelled job waits for it: a shard, a suspect item, or the planning."""
    return entry[0].isdigit() or entry == "plan"


@dataclass
class SentEntry:
    """A message that was sent and has not begun."""

    token: str
    at: float
    sends: int = 1
    empty_since: float | None = None  # first look since it was sent that found the queue empty


@dataclass
class RunningEntry:
    """An entry that a worker runs."""

    sending: str  # token of the message that brought it
    nonce: str
    lease: Lease
    deadline: float
    native: frozenset[int] = frozenset()


@dataclass
class MemoryJob:
    """A job; `told` is what the ledger was told of it."""

    told: LedgerJob
    paused: bool
    priority: int
    expires_at: float | None
    state: JobState = JobState.ACCEPTED
    counts: Counts = field(default_factory=Counts)
    started_at: float | None = None
    ended_at: float | None = None
    reason: str = ""
    message: str = ""
    plan_token: str = ""
    shards: int = 0
    waiting: dict[str, deque[str]] = field(default_factory=dict)  # entries by queue, first in line first
    sent: dict[str, SentEntry] = field(default_factory=dict)
    running: dict[str, RunningEntry] = field(default_factory=dict)
    finished: dict[str, str] = field(default_factory=dict)
    finalising: bool = False
    held: dict[str, list[int]] = field(default_factory=dict)  # suspects by shard
    attempts: dict[str, int] = field(default_factory=dict)  # used up
    deaths: dict[str, int] = field(default_factory=dict)  # of suspect entries
    finishes: list[tuple[float, int]] = field(default_factory=list)
    turn: dict[str, int] = field(default_factory=dict)  # when it was last served, by queue

    @property
    def entries(self) -> int:
        return self.shards + sum(map(len, self.held.values()))

    def queue_of(self, entry: str) -> str:
        return self.told.queue if entry[0].isdigit() else CONTROL

    def line(self, queue: str) -> deque[str]:
        return self.waiting.setdefault(queue, deque())

    def in_flight(self, queue: str) -> int:
        return sum(self.queue_of(entry) == queue for entry in (*self.sent, *self.running))

    def work_in_flight(self) -> int:
        return sum(is_work(entry) for entry in (*self.sent, *self.running))

    def waits(self, entry: str) -> bool:
        return entry in self.line(self.queue_of(entry))

    def is_somewhere(self, entry: str) -> bool:
        return self.waits(entry) or any(entry in place for place in (self.sent, self.running, self.finished))

    def remove(self, entry: str) -> None:
        """Takes an entry out of line and out of flight."""
        line = self.line(self.queue_of(entry))
        if entry in line:
            line.remove(entry)
        self.sent.pop(entry, None)
        self.running.pop(entry, None)
