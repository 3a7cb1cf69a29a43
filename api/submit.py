"""Submitting a job: validate -> store -> enter the ledger -> dispatch.

Nothing is lost if this process dies in between. `active/<id>` is put first, so that the steward looks there;
job.json makes the job a job; what comes after it, the steward or a repeated request can do as well.
"""

from __future__ import annotations

import hashlib
import json
import time
from contextlib import suppress

from api.auth import Caller
from api.heads import Head, load_spec
from api.jobs import Standing, find_job, load_decision
from api.schemas import JobRequest
from api.services import Services
from api.validate import (
    ObjectCheck,
    check_possible,
    checked_inputs,
    checked_output_prefix,
    checked_steps,
    checked_time,
    chosen_queue,
    installed,
    pinned,
)
from pipeline.core.errors import BrokerUnavailable, Conflict, IdempotencyMismatch, JobNotFound, ObjectExists
from pipeline.core.jobs import Decision, JobSpec, job_id_for, new_job_id
from pipeline.core.keys import JobKeys, index_key
from pipeline.core.ledger import CONTROL, LedgerJob
from pipeline.core.logs import bound, get_logger
from pipeline.core.storage import ObjectStore

log = get_logger(__name__)


def submit(
    services: Services, caller: Caller, request: JobRequest, *, idempotency_key: str | None, request_id: str
) -> tuple[Standing, bool]:
    """Accepts a job.

    Args:
        services: The process's services.
        caller: Whose job it is.
        request: What is asked.
        idempotency_key: Makes repeating the request harmless.
        request_id: Goes with the job, so that workers log it.

    Returns:
        The job, and whether it is new.

    Raises:
        InvalidInput: The request cannot be done; see `api.validate`.
        Forbidden: A key is out of the caller's reach.
        IdempotencyMismatch: The key came with another request before.
    """
    job_id = new_job_id() if idempotency_key is None else job_id_for(caller.owner, idempotency_key)
    with bound(job_id=job_id):
        if idempotency_key is not None:
            earlier = _stored(services.store, job_id)
            if earlier is not None:
                return _again(services, caller, earlier, request), False
        spec, decision = _specify(services, caller, request, job_id=job_id, request_id=request_id)
        stored = store_job(services.store, spec, decision)
        if stored != spec:
            return _again(services, caller, stored, request), False
        decision = load_decision(services.store, job_id) if idempotency_key is not None else decision
        enter_job(services, spec, decision)
        log.info("job.accepted", owner=spec.owner, operation=spec.operations, queue=spec.queue)
        return Standing(Head.of(spec), decision=decision), True


def request_digest(request: JobRequest) -> str:
    """sha256 hex of what was sent, however it was spaced and ordered."""
    sent = request.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return hashlib.sha256(json.dumps(sent, sort_keys=True).encode()).hexdigest()


def _specify(
    services: Services, caller: Caller, request: JobRequest, *, job_id: str, request_id: str
) -> tuple[JobSpec, Decision]:
    operation, step = checked_steps(services.registry, request)
    ObjectCheck(services.store, caller).check(operation, step.params)
    digests = pinned(services.store, operation, step)
    here = installed(services, operation, digests)
    check_possible(operation, step, here)
    inputs = checked_inputs(services.store, caller, request, operation=operation, step=step, here=here)
    decision = Decision(
        paused=request.paused,
        priority=request.priority,
        expires_at=checked_time("expires_at", request.expires_at),
    )
    spec = JobSpec(
        id=job_id,
        owner=caller.owner,
        created_at=time.time(),
        steps=request.steps,
        inputs=inputs,
        artifacts=digests,
        output_prefix=checked_output_prefix(caller, request.output_prefix),
        queue=chosen_queue(services.ledger, request, operation),
        name=request.name,
        read_prefixes=list(caller.read_prefixes),
        write_prefixes=list(caller.write_prefixes),
        request_sha256=request_digest(request),
        request_id=request_id,
    )
    return spec, decision


def store_job(store: ObjectStore, spec: JobSpec, decision: Decision, *, listed: bool = True) -> JobSpec:
    """Puts all that storage has of a new job; the spec that stands there then, perhaps an earlier one.

    Args:
        store: Where to.
        spec: The job.
        decision: What the request decides of it.
        listed: Whether it is among the owner's jobs.
    """
    keys = JobKeys(spec.id)
    store.put(keys.active, b"")
    if decision != Decision():
        with suppress(ObjectExists):  # half done before; what the user may have decided since counts
            _put_json(store, keys.decision, decision.model_dump_json())
    try:
        _put_json(store, keys.spec, spec.model_dump_json())
    except ObjectExists:
        spec = load_spec(store, spec.id)
    if listed:
        store.put(index_key(spec.owner, spec.created_at, spec.id), b"")
    return spec


def _put_json(store: ObjectStore, key: str, text: str) -> None:
    store.put(key, text.encode(), content_type="application/json", if_absent=True)


def enter_job(services: Services, spec: JobSpec, decision: Decision) -> None:
    """Tells the ledger and the control worker. If it cannot, the steward will: the job is stored."""
    try:
        services.ledger.enter(LedgerJob.of(spec, decision))
        if decision.cancelled:
            services.ledger.cancel(spec.id, "cancelled")
        services.ledger.durable()
        services.sender.dispatch(CONTROL)
    except BrokerUnavailable as error:
        log.warning("job.left_to_steward", error=str(error))


def _stored(store: ObjectStore, job_id: str) -> JobSpec | None:
    try:
        return load_spec(store, job_id)
    except JobNotFound:
        return None


def _again(services: Services, caller: Caller, earlier: JobSpec, request: JobRequest) -> Standing:
    """The job that this request made before; finishes what was left undone then."""
    if earlier.request_sha256 != request_digest(request):
        raise IdempotencyMismatch("this Idempotency-Key came with another request before")
    decision = load_decision(services.store, earlier.id)
    if decision.deleted:
        raise Conflict("the job of this Idempotency-Key is being deleted")
    try:
        job = find_job(services, caller, earlier.id)
    except BrokerUnavailable as error:
        log.warning("job.left_to_steward", error=str(error))
        return Standing(Head.of(earlier), decision=decision)
    if job.view is None and job.summary is None:
        services.store.put(JobKeys(earlier.id).active, b"")
        services.store.put(index_key(earlier.owner, earlier.created_at, earlier.id), b"")
        enter_job(services, earlier, decision)
    return job
