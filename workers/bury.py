"""Ends an entry that workers died over too often: what it finished counts, the rest is `worker_lost`."""

from __future__ import annotations

from pipeline.core.chain import as_one
from pipeline.core.errors import AccessDenied, InvalidInput, WorkerLost
from pipeline.core.jobs import Item, ResultLine
from pipeline.core.logs import get_logger
from workers.outputs import Outputs
from workers.pulse import Hand
from workers.retry import patiently
from workers.runner import finish_shard, read_items
from workers.runtime import Runtime

log = get_logger(__name__)


def bury_entry(runtime: Runtime, hand: Hand) -> None:
    """Writes the results of the entry whose "bury" entry is in hand."""
    lease = hand.lease
    spec = patiently(lambda: runtime.spec(lease.job_id, lease.plan_token))
    operation, _ = as_one(runtime.registry.get, spec.steps)
    outputs = Outputs(runtime.store, spec, operation)

    def adopted(item: Item) -> ResultLine | None:
        try:
            return patiently(lambda: outputs.find(item))
        except (InvalidInput, AccessDenied) as error:  # it could not have been put in the first place
            log.info("item.not_adopted", item=item.index, code=error.code)
            return None

    def line(item: Item) -> ResultLine:
        if item.error is None and (found := adopted(item)):
            return found
        error = item.error or {"code": WorkerLost.code, "message": WorkerLost().message}
        return ResultLine(
            index=item.index, custom_id=item.custom_id, status="failed", input=item.input, error=error
        )

    lines = [line(item) for item in patiently(lambda: read_items(runtime, lease))]
    log.error("entry.buried", failed=sum(one.status == "failed" for one in lines))
    finish_shard(runtime, lease, lines, seconds=0.0)
