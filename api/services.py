"""Everything that an API process talks to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from anyio import CapacityLimiter

from api.auth import KeyCache
from api.heads import EndedJobs, HeadCache
from api.metrics import Metrics
from pipeline.core.ledger import Ledger
from pipeline.core.settings import Settings
from pipeline.core.storage import ObjectStore
from pipeline.operations import Registry

MAX_STREAMED_UPLOADS = 16  # each holds a thread and a part of a multipart upload


class Dispatcher(Protocol):
    """`pipeline.core.queue.Sender`, as far as the API needs it."""

    def dispatch(self, queue: str) -> int:
        """Moves work from the ledger to the broker while there is room."""


@dataclass(frozen=True)
class Services:
    """Made once a process, in `api.app.create_app`."""

    settings: Settings
    store: ObjectStore
    ledger: Ledger
    sender: Dispatcher
    registry: Registry
    keys: KeyCache
    heads: HeadCache
    metrics: Metrics
    ended: EndedJobs = field(default_factory=EndedJobs)
    # Slow uploads must not hold the threads that every other route needs.
    upload_threads: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(MAX_STREAMED_UPLOADS))
