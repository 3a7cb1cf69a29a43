"""What Prometheus reads: requests by route, and the ledger at the moment of the scrape."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from threading import Lock

from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from pipeline.core.errors import Transient
from pipeline.core.jobs import ENDED, JobState
from pipeline.core.keys import ACTIVE
from pipeline.core.ledger import Ledger
from pipeline.core.logs import get_logger
from pipeline.core.storage import ObjectStore

log = get_logger(__name__)

BUCKETS_S = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60)
METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})
MAX_COUNTED_JOBS = 500
COUNT_AGAIN_S = 5.0


class Metrics:
    """This process's registry."""

    def __init__(self, store: ObjectStore, ledger: Ledger) -> None:
        self.registry = CollectorRegistry()
        self._seconds = Histogram(
            "triptych_http_request_seconds",
            "Time to answer a request, by route template.",
            ("method", "route", "status"),
            buckets=BUCKETS_S,
            registry=self.registry,
        )
        self.registry.register(LedgerCollector(store, ledger))

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Counts a request."""
        known = method if method in METHODS else "other"  # a client may invent methods without end
        self._seconds.labels(known, route, str(status)).observe(seconds)


class LedgerCollector(Collector):
    """Reads the ledger at each scrape; without a broker it says so and nothing else."""

    def __init__(self, store: ObjectStore, ledger: Ledger) -> None:
        self._store = store
        self._ledger = ledger
        self._lock = Lock()
        self._states: Counter[str] = Counter()
        self._counted_at = float("-inf")

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Nothing: registering must not ask the broker."""
        return iter(())

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The gauges, by a look at the ledger."""
        up = GaugeMetricFamily("triptych_ledger_up", "Whether the ledger answered this scrape.")
        try:
            families = [*self._backlog(), *self._workers(), self._jobs()]
        except Transient as error:
            log.warning("metrics.incomplete", code=error.code, error=error.message)
            families = []
        up.add_metric([], float(bool(families)))
        yield up
        yield from families

    def _backlog(self) -> list[GaugeMetricFamily]:
        waiting = GaugeMetricFamily("triptych_entries_waiting", "Entries that wait.", labels=["queue"])
        in_flight = GaugeMetricFamily("triptych_entries_in_flight", "Sent or running.", labels=["queue"])
        for queue, (waits, flies) in self._ledger.backlog().items():
            waiting.add_metric([queue], waits)
            in_flight.add_metric([queue], flies)
        return [waiting, in_flight]

    def _workers(self) -> list[GaugeMetricFamily]:
        workers = GaugeMetricFamily("triptych_workers", "Worker processes alive.", labels=["device"])
        slots = GaugeMetricFamily("triptych_slots", "Slots of the workers that live.", labels=["queue"])
        alive = self._ledger.workers()
        for device, count in Counter(beat.device for beat in alive).items():
            workers.add_metric([device], count)
        by_queue: Counter[str] = Counter()
        for beat in alive:
            for queue in beat.queues:
                by_queue[queue] += beat.slots
        for queue, count in by_queue.items():
            slots.add_metric([queue], count)
        return [workers, slots]

    def _jobs(self) -> GaugeMetricFamily:
        jobs = GaugeMetricFamily(
            "triptych_jobs", f"Jobs not ended, by state (the first {MAX_COUNTED_JOBS}).", labels=["state"]
        )
        with self._lock:  # a look at each job: not more often than every COUNT_AGAIN_S
            if time.monotonic() - self._counted_at > COUNT_AGAIN_S:
                self._states = self._count()
                self._counted_at = time.monotonic()
            for state in JobState:
                if state not in ENDED:
                    jobs.add_metric([state], self._states[state])
        return jobs

    def _count(self) -> Counter[str]:
        active = [
            found.key.removeprefix(ACTIVE) for found in islice(self._store.list(ACTIVE), MAX_COUNTED_JOBS)
        ]
        views = (self._ledger.job(job_id) for job_id in active)
        return Counter(view.state if view is not None else JobState.ACCEPTED for view in views)
