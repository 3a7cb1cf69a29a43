"""What the tasks of one worker process share. Built once, in `workers/__main__.py`, before Celery starts."""

from __future__ import annotations

import functools
import os
import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from celery import Celery

from pipeline.core.errors import ObjectNotFound
from pipeline.core.jobs import Decision, JobSpec
from pipeline.core.keys import JobKeys
from pipeline.core.ledger import Beat
from pipeline.core.queue import Sender, make_celery, queues_of
from pipeline.core.redis_ledger import RedisLedger, make_ledger
from pipeline.core.s3 import make_store
from pipeline.core.settings import Settings
from pipeline.core.storage import ObjectStore
from pipeline.operations import Registry
from workers.gate import QuietGate
from workers.handlers import Handlers
from workers.pulse import Pulse
from workers.related import Related
from workers.watchdog import Watchdog


@dataclass(frozen=True, eq=False)
class Runtime:
    """The parts of a worker process."""

    settings: Settings
    name: str
    store: ObjectStore
    ledger: RedisLedger
    app: Celery
    sender: Sender
    registry: Registry
    handlers: Handlers
    related: Related
    gate: QuietGate
    watchdog: Watchdog
    pulse: Pulse
    io: ThreadPoolExecutor

    def spec(self, job_id: str, plan_token: str = "") -> JobSpec:
        """What was asked. Read once for each plan: a job never changes, but an id may be used again."""
        return self._planned_spec(job_id, plan_token) if plan_token else self._read_spec(job_id)

    @functools.lru_cache(maxsize=256)  # noqa: B019 - lives as long as the process
    def _planned_spec(self, job_id: str, plan_token: str) -> JobSpec:  # noqa: ARG002 - part of the key
        return self._read_spec(job_id)

    def _read_spec(self, job_id: str) -> JobSpec:
        return JobSpec.model_validate_json(self.store.get(JobKeys(job_id).spec))

    def decision(self, job_id: str) -> Decision:
        """What the user decided since."""
        try:
            return Decision.model_validate_json(self.store.get(JobKeys(job_id).decision))
        except ObjectNotFound:
            return Decision()


def make_runtime(settings: Settings) -> Runtime:
    """Connects the parts. Nothing is started yet."""
    store, ledger, app = make_store(settings), make_ledger(settings), make_celery(settings)
    registry = Registry(settings.extra_operation_modules)
    watchdog = Watchdog(settings.stall_s)
    name = settings.worker_name or f"{settings.role}-{socket.gethostname()}-{os.getpid()}"
    operations = tuple(registry.names()) if settings.role == "device" else ()
    beat = Beat(name, queues_of(settings), settings.threads, operations, settings.device)
    return Runtime(
        settings=settings,
        name=name,
        store=store,
        ledger=ledger,
        app=app,
        sender=Sender(app, ledger),
        registry=registry,
        handlers=Handlers(settings, store, registry),
        related=Related(store, settings.max_input_bytes),
        gate=QuietGate(),
        watchdog=watchdog,
        pulse=Pulse(ledger, beat, watchdog, every_s=settings.pulse_s, health_file=settings.health_file),
        # Two fetches ahead and two puts behind, for every thread of the pool.
        io=ThreadPoolExecutor(4 * settings.threads, thread_name_prefix="io"),
    )
