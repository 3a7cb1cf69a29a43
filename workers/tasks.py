"""The two Celery tasks. A message names an entry; `begin` decides whether it still counts."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping

from celery import Celery

from pipeline.core.errors import ArtifactNotFound, Transient, UnknownOperation
from pipeline.core.ledger import CONTROL, Lease, Refusal
from pipeline.core.logs import bound, get_logger
from pipeline.core.queue import RUN_CONTROL, RUN_SHARD, queues_of
from workers.bury import bury_entry
from workers.finalise import finalise_job
from workers.plan import plan_job
from workers.pulse import Hand
from workers.retry import patiently
from workers.runner import run_shard
from workers.runtime import Runtime

log = get_logger(__name__)
Work = Callable[[Runtime, Hand], object]
CONTROL_WORK: Mapping[str, Work] = {"plan": plan_job, "finalise": finalise_job, "bury": bury_entry}


def register(app: Celery, runtime: Runtime) -> None:
    """Puts the tasks of this process's role into its Celery app."""

    @app.task(name=RUN_SHARD)  # type: ignore[untyped-decorator]
    def run_shard_task(job_id: str, entry: str, token: str) -> None:
        _run(runtime, run_shard, job_id, entry, token)
        # Reads both classes' queues: the slot that is free now may go to either.
        dispatch(runtime, *queues_of(runtime.settings), CONTROL)

    @app.task(name=RUN_CONTROL)  # type: ignore[untyped-decorator]
    def run_control_task(job_id: str, entry: str, token: str) -> None:
        work = CONTROL_WORK[entry.partition(".")[0]]
        _run(runtime, work, job_id, entry, token)
        view = runtime.ledger.job(job_id)
        dispatch(runtime, *([view.queue] if view else []), CONTROL)


def _run(runtime: Runtime, work: Work, job_id: str, entry: str, token: str) -> None:
    nonce = secrets.token_hex(8)
    answer = patiently(lambda: runtime.ledger.begin(job_id, entry, token, worker=runtime.name, nonce=nonce))
    if isinstance(answer, Refusal):
        log.info("message.dropped", job=job_id, entry=entry, reason=answer.value)
        return
    with (
        bound(job=job_id, entry=entry),
        runtime.pulse.holding(answer) as hand,
        bound(request=_request_id(runtime, answer)),  # from the store: under a lease that is renewed
    ):
        log.info("entry.begun", attempt=answer.attempt)
        try:
            # Not before `begin`: what waits at the gate has a lease, and is not taken for lost.
            with runtime.gate.enter(alone=answer.quiet):
                work(runtime, hand)
        except Exception as error:  # noqa: BLE001 - whatever it was, the entry must not stay ours
            _give_back(runtime, answer, error)
            return
        if entry.partition(".")[0] in CONTROL_WORK:
            patiently(lambda: runtime.ledger.finish_control(answer))


def _request_id(runtime: Runtime, lease: Lease) -> str:
    try:
        return runtime.spec(lease.job_id, lease.plan_token).request_id
    except Exception:  # noqa: BLE001 - it is only for the log; the work itself will say what is wrong
        return ""


def _give_back(runtime: Runtime, lease: Lease, error: Exception) -> None:
    """Another try, by whoever is next. What was only out of reach costs no attempt."""
    # What this worker does not know or have, another one may.
    blame = not isinstance(error, Transient | UnknownOperation | ArtifactNotFound)
    log.error("entry.released", blame=blame, exc_info=error)
    time.sleep(min(0.2 * 2 ** min(lease.attempt, 6), 10.0))  # control entries have no last attempt
    patiently(lambda: runtime.ledger.release(lease, blame=blame))


def dispatch(runtime: Runtime, *queues: str) -> None:
    """Fills the room that these queues have."""
    try:
        for queue in queues:
            runtime.sender.dispatch(queue)
    except Transient as error:
        log.warning("dispatch.missed", error=error.message)  # the steward dispatches too
