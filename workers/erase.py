"""Deletes a job: all of its objects, and what it put under the owner's own prefix stays the owner's."""

from __future__ import annotations

from itertools import islice

from pipeline.core.errors import ObjectNotFound
from pipeline.core.jobs import JobSpec
from pipeline.core.keys import JobKeys, index_key
from pipeline.core.logs import get_logger
from pipeline.core.storage import ObjectStore

log = get_logger(__name__)


MOST = 10_000  # keys at a time, a few seconds: whoever erases has other work, too


def erase_job(store: ObjectStore, job_id: str) -> bool:
    """Deletes what is under the job's prefix; may be repeated, as the mark of deletion goes last.

    Returns:
        Whether all is gone; a job of many objects takes several calls.
    """
    keys = JobKeys(job_id)
    last = {keys.spec, keys.decision}
    listed = (info.key for info in store.list(keys.prefix) if info.key not in last)
    some = [*islice(listed, MOST)]
    store.delete(some)
    if len(some) == MOST:
        return False
    try:
        spec = JobSpec.model_validate_json(store.get(keys.spec))
        store.delete([index_key(spec.owner, spec.created_at, job_id)])
    except ObjectNotFound:
        pass  # a repeated call
    # One after the other: without its decision, what is left of the job would run again.
    for key in (keys.spec, keys.decision, keys.active):
        store.delete([key])
    log.info("job.erased", job=job_id)
    return True
