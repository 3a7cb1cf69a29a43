"""What a user decides about a job later: changed, cancelled, deleted. In storage before the API answers.

Of two changes at once the last writer's counts, but a cancellation is never undone by a change beside it.
Both write state.json, then look: the canceller (after telling the ledger) whether it still says so there, the
changer whether the ledger has the job cancelled by now. Whoever writes last looks last.
"""

from __future__ import annotations

from api.jobs import Standing, load_decision
from api.schemas import JobChange
from api.services import Services
from api.validate import checked_time
from pipeline.core.errors import BrokerUnavailable, IllegalTransition, JobNotFinished
from pipeline.core.jobs import Decision
from pipeline.core.keys import JobKeys, index_key
from pipeline.core.ledger import CONTROL
from pipeline.core.logs import get_logger
from pipeline.core.storage import ObjectStore

log = get_logger(__name__)


def change(services: Services, job: Standing, wanted: JobChange) -> None:
    """Pauses, resumes, reorders or dates a job.

    Raises:
        IllegalTransition: It has ended.
        InvalidParams: `expires_at` lies in the past.
    """
    if job.state.ended:
        raise IllegalTransition(f"the job is {job.state}: nothing can be changed any more")
    update: dict[str, object] = {}
    if wanted.paused is not None:
        update["paused"] = wanted.paused
    if wanted.priority is not None:
        update["priority"] = wanted.priority
    if "expires_at" in wanted.model_fields_set:
        update["expires_at"] = checked_time("expires_at", wanted.expires_at)
    job_id = job.head.id
    decision = _decide(services.store, job_id, update)
    services.ledger.decide(
        job_id, paused=decision.paused, priority=decision.priority, expires_at=decision.expires_at
    )
    view = services.ledger.job(job_id)
    if view is not None and view.reason == "cancelled" and not decision.cancelled:
        _decide(services.store, job_id, {"cancelled": True})
    services.ledger.durable()
    log.info("job.changed", job_id=job_id, **update)
    _dispatch(services, job.head.queue)  # it may have been resumed


def cancel(services: Services, job: Standing) -> None:
    """Stops a job; what runs may finish. An ended job is left as it is."""
    if job.state.ended:
        return
    job_id = job.head.id
    _decide(services.store, job_id, {"cancelled": True})
    services.ledger.cancel(job_id, "cancelled")
    if not load_decision(services.store, job_id).cancelled:
        _decide(services.store, job_id, {"cancelled": True})
    services.ledger.durable()
    log.info("job.cancelled", job_id=job_id)
    _dispatch(services, CONTROL)


def delete(services: Services, job: Standing) -> None:
    """Has a job and everything under its prefix deleted, by the control worker.

    `active/<id>` is put once more: that is where the steward looks.

    Raises:
        JobNotFinished: It has not ended.
    """
    if not job.state.ended:
        raise JobNotFinished(f"the job is {job.state}: cancel it first")
    head = job.head
    _decide(services.store, head.id, {"deleted": True})
    services.store.put(JobKeys(head.id).active, b"")
    services.store.delete([index_key(head.owner, head.created_at, head.id)])
    services.ledger.forget(head.id)
    log.info("job.deleted", job_id=head.id)


def _decide(store: ObjectStore, job_id: str, update: dict[str, object]) -> Decision:
    decision = load_decision(store, job_id).model_copy(update=update)
    data = decision.model_dump_json().encode()
    store.put(JobKeys(job_id).decision, data, content_type="application/json")
    return decision


def _dispatch(services: Services, queue: str) -> None:
    try:
        services.sender.dispatch(queue)
    except BrokerUnavailable as error:
        log.warning("job.left_to_steward", error=str(error))
