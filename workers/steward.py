"""The steward: finds what got lost. One is active, by a lock in Redis; every control worker has one waiting.

Every look it puts back entries of dead workers, sends lost messages again and dispatches. When the ledger's
server is a new run (it restarted, failed over, was emptied), it first reconciles every active job with
storage. And every few looks it goes through the list of active jobs, for any that the ledger does not know.
"""

from __future__ import annotations

import threading
import time

from pipeline.core.errors import Fault, ObjectNotFound, StorageUnavailable, TriptychError
from pipeline.core.jobs import Decision, JobSpec, Plan
from pipeline.core.keys import ACTIVE, JobKeys, ResultName, parse_shard_results
from pipeline.core.ledger import LedgerJob, Restore, Sweep
from pipeline.core.logs import bound, get_logger
from workers.erase import erase_job
from workers.finalise import close_job, read_summary
from workers.runtime import Runtime

LOCK_S = 15.0
ROUND_S = 5.0  # between two looks at the list of active jobs
ORPHAN_S = 600.0  # after which a mark without a job is an accident
log = get_logger(__name__)


class Steward:
    """A thread of the control worker."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._lock = runtime.ledger.lock("steward", timeout_s=LOCK_S)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="steward", daemon=True)
        self._round_at = 0.0

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(5)
        self._lock.release()

    def _run(self) -> None:
        while True:
            try:
                if self._lock.hold():
                    self.look()
            except TriptychError as error:
                log.warning("steward.waits", error=error.message)  # Redis or the store is away
            except Exception:  # the steward must outlive its own mistakes
                log.exception("steward.failed")
            if self._stop.wait(self._runtime.settings.steward_s):
                return

    def look(self) -> None:
        """One look at everything."""
        ledger, sender = self._runtime.ledger, self._runtime.sender
        if not ledger.reconciled():
            self._reconcile_all()
        for queue in ledger.queues():
            sweep = ledger.sweep(queue, sender.depth(queue))
            if sweep != Sweep():
                log.info(
                    "steward.swept",
                    queue=queue,
                    resent=[f"{one.job_id}/{one.entry}" for one in sweep.resend],
                    put_back=sweep.put_back,
                    undeliverable=sweep.undeliverable,
                    expired=sweep.expired,
                )
            sender.send(sweep.resend)
            sender.dispatch(queue)
        if time.monotonic() - self._round_at >= ROUND_S:
            self._round_at = time.monotonic()
            self._go_round()

    def _reconcile_all(self) -> None:
        log.info("steward.reconciles")
        for info in self._runtime.store.list(ACTIVE):
            self._reconcile(info.key.removeprefix(ACTIVE), info.last_modified)
            self._lock.hold()
        self._runtime.ledger.confirm()
        log.info("steward.reconciled")

    def _go_round(self) -> None:
        """Finds jobs whose submission stopped half-way, jobs to delete, and jobs that ended unnoticed."""
        listed = self._runtime.store.list(ACTIVE)
        marks = {info.key.removeprefix(ACTIVE): info.last_modified for info in listed}
        known = self._runtime.ledger.known(list(marks))
        for job_id, marked_at in marks.items():
            if job_id not in known:
                self._reconcile(job_id, marked_at)
                self._lock.hold()

    def _reconcile(self, job_id: str, marked_at: float) -> None:
        with bound(job=job_id):
            try:
                reconcile_job(self._runtime, job_id, marked_at)
            except (ValueError, Fault):  # a job that cannot be read must not hold up the others
                log.exception("job.unreadable")


def reconcile_job(runtime: Runtime, job_id: str, marked_at: float) -> None:
    """Brings the ledger to what storage says of an active job: decided, planned, finished, ended, deleted."""
    keys, store = JobKeys(job_id), runtime.store
    decision = runtime.decision(job_id)
    if decision.deleted:
        runtime.ledger.forget(job_id)
        try:
            erase_job(store, job_id)
        except StorageUnavailable:  # an object that stays must not hold up the other jobs
            log.exception("job.not_erased")
        return
    try:
        spec = runtime.spec(job_id)
    except ObjectNotFound:
        # The mark is put first, so this is a submission under way, or one that never got further.
        if time.time() - marked_at > ORPHAN_S:
            store.delete([keys.active])
        return
    summary = read_summary(runtime, job_id)
    if summary is not None:
        close_job(runtime, job_id, summary)
        return
    runtime.ledger.restore(_restore(runtime, spec, decision))
    _catch_up(runtime, job_id, decision)
    log.info("job.reconciled")


def _catch_up(runtime: Runtime, job_id: str, known: Decision) -> None:
    """What the user decided while the results were listed: the ledger did not know the job then."""
    now = runtime.decision(job_id)
    if now == known:
        return
    runtime.ledger.decide(job_id, paused=now.paused, priority=now.priority, expires_at=now.expires_at)
    if now.cancelled or now.deleted:
        runtime.ledger.cancel(job_id, "cancelled")


def _restore(runtime: Runtime, spec: JobSpec, decision: Decision) -> Restore:
    keys, store = JobKeys(spec.id), runtime.store
    job = LedgerJob.of(spec, decision)
    reason = "cancelled" if decision.cancelled else ""
    try:
        plan = Plan.model_validate_json(store.get(keys.plan))
    except ObjectNotFound:
        return Restore(job, cancelled=reason)
    listed = [parse_shard_results(info.key) for info in store.list(keys.shard_results_prefix)]
    return Restore(job, plan.token, plan.shards, plan.items, choose_winners(listed), reason)


def choose_winners(listed: list[tuple[str, str]]) -> dict[str, str]:
    """Of several results of an entry the first in list order; of suspects, those that a winner left out.

    Args:
        listed: (entry, text of its `ResultName`) in key order, which is the order of their tokens.
    """
    first: dict[str, str] = {}
    for entry, result in listed:
        first.setdefault(entry, result)
    shards = {entry: result for entry, result in first.items() if "." not in entry}
    held = {f"{entry}.{item}" for entry, result in shards.items() for item in ResultName.parse(result).held}
    return shards | {entry: first[entry] for entry in held if entry in first}
