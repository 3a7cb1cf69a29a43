"""What never changes about a job, kept in memory: job.json's head, and the summary once the job has ended."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from functools import lru_cache

from pipeline.core.errors import JobNotFound, ObjectNotFound
from pipeline.core.jobs import JobSpec, Step, Summary
from pipeline.core.keys import JobKeys
from pipeline.core.results import JobResults
from pipeline.core.storage import ObjectStore

MAX_HEADS = 4096
MAX_ENDS = 4096


@dataclass(frozen=True)
class Head:
    """`job.json` without its inputs, of which there may be megabytes."""

    id: str
    owner: str
    name: str
    steps: tuple[Step, ...]
    queue: str
    created_at: float

    @classmethod
    def of(cls, spec: JobSpec) -> Head:
        return cls(spec.id, spec.owner, spec.name, tuple(spec.steps), spec.queue, spec.created_at)


def load_spec(store: ObjectStore, job_id: str) -> JobSpec:
    """Reads job.json; raises JobNotFound."""
    try:
        return JobSpec.model_validate_json(store.get(JobKeys(job_id).spec))
    except ObjectNotFound as error:
        raise JobNotFound(f"no job {job_id!r}") from error


def load_summary(store: ObjectStore, job_id: str) -> Summary | None:
    """Reads summary.json, which is there once a job has ended."""
    try:
        return Summary.model_validate_json(store.get(JobKeys(job_id).summary))
    except ObjectNotFound:
        return None


class HeadCache:
    """Heads and ends by job id and time of creation: a deleted job's Idempotency-Key may come again."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._head = lru_cache(MAX_HEADS)(self._read_head)
        self._end = lru_cache(MAX_ENDS)(self._read_end)

    def head(self, job_id: str, created_at: float) -> Head:
        """The head of a job that the ledger knows; raises JobNotFound."""
        return self._head((job_id, created_at))

    def end(self, job_id: str, created_at: float) -> Summary | None:
        """How a job ended, without its winners; None if its summary is not there."""
        try:
            return self._end((job_id, created_at))
        except ObjectNotFound:
            return None  # not remembered: an exception leaves nothing in the cache

    def _read_head(self, job: tuple[str, float]) -> Head:
        return Head.of(load_spec(self._store, job[0]))

    def _read_end(self, job: tuple[str, float]) -> Summary:
        data = self._store.get(JobKeys(job[0]).summary)
        return Summary.model_validate_json(data).model_copy(update={"winners": {}})


class EndedJobs:
    """Results of the jobs that were asked for last, once they have ended: they never change.

    A client that fetches a million outputs asks for each by itself.
    """

    def __init__(self, kept: int = 16) -> None:
        self._kept = kept
        self._found: OrderedDict[tuple[str, float], JobResults] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, store: ObjectStore, job_id: str, created_at: float) -> JobResults | None:
        """The results; None while there is no summary. An id may be used again, at another time."""
        key = (job_id, created_at)
        with self._lock:
            if key in self._found:
                self._found.move_to_end(key)
                return self._found[key]
        summary = load_summary(store, job_id)
        if summary is None:
            return None
        found = JobResults(store, job_id, summary.winners, summary.shards, ended=True, error=summary.error)
        with self._lock:
            self._found[key] = found
            while len(self._found) > self._kept:
                self._found.popitem(last=False)
        return found
