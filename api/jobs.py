"""Where a job stands: the ledger while it knows the job, storage before and after."""

from __future__ import annotations

from dataclasses import dataclass, field

from api.auth import Caller
from api.heads import Head, load_spec, load_summary
from api.schemas import ErrorOut, Job, time_of
from api.services import Services
from pipeline.core.errors import JobNotFound, ObjectNotFound
from pipeline.core.jobs import JOB_ID, Counts, Decision, JobState, Summary
from pipeline.core.keys import JobKeys
from pipeline.core.ledger import JobView
from pipeline.core.storage import ObjectStore

# Reasons to be cancelling that are no error of the job.
_WANTED = ("", "cancelled", "expired")


@dataclass(frozen=True)
class Standing:
    """A job as it stands.

    Attributes:
        view: What the ledger says; None when it does not know the job: not yet, or no longer.
        decision: What the user decided, read when the ledger does not know the job.
        summary: How the job ended (its winners may be missing); None while it has not.
    """

    head: Head
    view: JobView | None = None
    decision: Decision = field(default_factory=Decision)
    summary: Summary | None = None

    @property
    def state(self) -> JobState:
        if self.summary is not None:
            return self.summary.state
        if self.view is not None:
            return self.view.state
        return JobState.CANCELLING if self.decision.cancelled else JobState.ACCEPTED

    @property
    def counts(self) -> Counts:
        if self.summary is not None:
            return self.summary.counts
        return self.view.counts if self.view is not None else Counts()

    @property
    def time_left_s(self) -> float | None:
        """Seconds left at the present rate; None when there is none."""
        view = self.view
        if view is None or view.state is not JobState.RUNNING or view.paused or view.rate <= 0:
            return None
        return (view.counts.total - view.counts.done) / view.rate

    @property
    def error(self) -> ErrorOut | None:
        if self.summary is not None and self.summary.error is not None:
            return ErrorOut(code=self.summary.error["code"], message=self.summary.error.get("message", ""))
        if self.view is not None and self.view.reason not in _WANTED:
            return ErrorOut(code=self.view.reason, message=self.view.message)
        return None


def load_decision(store: ObjectStore, job_id: str) -> Decision:
    """Reads state.json; the default when it is not there."""
    try:
        return Decision.model_validate_json(store.get(JobKeys(job_id).decision))
    except ObjectNotFound:
        return Decision()


def find_job(services: Services, caller: Caller, job_id: str) -> Standing:
    """Where a job of the caller's stands.

    Raises:
        JobNotFound: There is none, or it is somebody else's, or it is being deleted: nobody can tell which.
    """
    missing = JobNotFound(f"no job {job_id[:80]!r}")
    if not JOB_ID.fullmatch(job_id):
        raise missing
    view = services.ledger.job(job_id)
    if view is None:
        return _from_storage(services, caller, job_id)
    head = services.heads.head(job_id, view.created_at)
    if head.owner != caller.owner:
        raise missing
    end = services.heads.end(job_id, view.created_at) if view.state.ended else None
    return Standing(head, view, summary=end)


def _from_storage(services: Services, caller: Caller, job_id: str) -> Standing:
    head = Head.of(load_spec(services.store, job_id))
    decision = load_decision(services.store, job_id)
    if head.owner != caller.owner or decision.deleted:
        raise JobNotFound(f"no job {job_id[:80]!r}")
    return Standing(head, decision=decision, summary=load_summary(services.store, job_id))


def document(job: Standing) -> Job:
    """A job as the API shows it."""
    view, summary = job.view, job.summary
    decided = view if view is not None else job.decision
    return Job(
        id=job.head.id,
        name=job.head.name,
        state=job.state,
        paused=decided.paused,
        priority=decided.priority,
        steps=list(job.head.steps),
        queue=job.head.queue,
        created_at=time_of(job.head.created_at),
        started_at=time_of(summary.started_at if summary else view.started_at if view else None),
        finished_at=time_of(summary.finished_at if summary else None),
        expires_at=time_of(decided.expires_at),
        counts=job.counts,
        rate_items_per_s=view.rate if view is not None and view.state is JobState.RUNNING else None,
        time_left_s=job.time_left_s,
        error=job.error,
        shards=summary.shards if summary else view.shards if view else 0,
        bytes_in=summary.bytes_in if summary else None,
        bytes_out=summary.bytes_out if summary else None,
    )
