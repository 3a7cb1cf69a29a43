"""Plans a job: its inputs become shards of items, `manifest/<plan>/<shard>.jsonl`, then a plan.json.

Two planners may run at once (one was thought dead). Each writes under its own token, and the first plan.json
decides.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator
from typing import IO

from pipeline.core.chain import Asked, as_one
from pipeline.core.errors import InvalidInput, InvalidManifest, NotFound, ObjectExists, ObjectNotFound
from pipeline.core.jobs import MAX_INTERACTIVE_ITEMS, MAX_SAMPLES, MIN_SAMPLES, Item, JobSpec, Plan
from pipeline.core.keys import JobKeys
from pipeline.core.logs import get_logger
from workers.inputs import items_of
from workers.pulse import Hand
from workers.retry import patiently
from workers.runtime import Runtime

log = get_logger(__name__)
PUTS_AT_ONCE = 16
MOST_SHARDS = 10_000  # before the last fifth is cut finer


def plan_job(runtime: Runtime, hand: Hand) -> None:
    """Plans the job whose "plan" entry is in hand; a job without a usable input fails."""
    job_id = hand.lease.job_id
    try:
        plan = patiently(lambda: _standing_plan(runtime, job_id)) or _plan(runtime, hand)
    except (InvalidInput, NotFound) as error:
        code, message = error.code, error.message
        patiently(lambda: runtime.ledger.cancel(job_id, code, message))
        log.info("job.invalid", code=code, error=message)
        return
    if plan is not None:
        patiently(lambda: runtime.ledger.planned(job_id, plan.token, plan.shards, plan.items))
        log.info("job.planned", shards=plan.shards, items=plan.items)


def _standing_plan(runtime: Runtime, job_id: str) -> Plan | None:
    try:
        return Plan.model_validate_json(runtime.store.get(JobKeys(job_id).plan))
    except ObjectNotFound:
        return None


def _plan(runtime: Runtime, hand: Hand) -> Plan | None:
    spec = patiently(lambda: runtime.spec(hand.lease.job_id))
    asked = as_one(runtime.registry.get, spec.steps)
    operation = asked[0]
    with tempfile.TemporaryFile() as spool:
        total = _spool(runtime, hand, spec, asked, spool)
        if hand.stopped:
            return None
        if total == 0:
            raise InvalidManifest("the job has no inputs")
        if "interactive" in spec.queue and total > MAX_INTERACTIVE_ITEMS:
            raise InvalidManifest(f"{total} items; interactive jobs have {MAX_INTERACTIVE_ITEMS} at most")
        pace = patiently(lambda: runtime.ledger.pace(operation.name)) or operation.seconds_per_item_hint
        sizes = shard_sizes(
            total,
            seconds_per_item=pace,
            slots=patiently(lambda: _slots(runtime, spec.queue)),
            target_s=runtime.settings.shard_target_s,
            most=runtime.settings.max_shard_items,
        )
        spool.seek(0)
        shards = _put_manifests(runtime, hand, spool, sizes, sampled(total))
    if hand.stopped:
        return None
    return _put_plan(runtime, spec.id, Plan(token=hand.lease.token, shards=shards, items=total))


def _spool(runtime: Runtime, hand: Hand, spec: JobSpec, asked: Asked, spool: IO[bytes]) -> int:
    """Writes every item to disk, a line each: their number decides on shards and samples.

    Repeated from the start when the store does not answer: a listing cannot be picked up in its middle.
    """

    def write_all() -> int:
        spool.seek(0)
        spool.truncate()
        total = 0
        for item in items_of(spec, asked, runtime.store, max_bytes=runtime.settings.max_input_bytes):
            spool.write(item.model_dump_json(exclude_none=True).encode() + b"\n")
            total += 1
            if total % 1000 == 0:
                runtime.watchdog.progress()
                if hand.stopped:
                    break
        return total

    return patiently(write_all, give_up=lambda: hand.stopped)


def _put_manifests(
    runtime: Runtime, hand: Hand, spool: IO[bytes], sizes: Iterator[int], samples: frozenset[int]
) -> int:
    keys = JobKeys(hand.lease.job_id)

    def put(shard: int, body: bytes) -> None:
        key = keys.manifest(hand.lease.token, shard)
        patiently(lambda: runtime.store.put(key, body, content_type="application/x-ndjson"))
        runtime.watchdog.progress()

    index, shards, pending = 0, 0, []
    for size in sizes:
        if hand.stopped:
            break
        lines = [_marked(spool.readline(), index + place in samples) for place in range(size)]
        pending.append(runtime.io.submit(put, shards, b"".join(lines)))
        index, shards = index + size, shards + 1
        if len(pending) >= PUTS_AT_ONCE:
            pending.pop(0).result()
    for future in pending:
        future.result()
    return shards


def _marked(line: bytes, sample: bool) -> bytes:
    if not sample:
        return line
    item = Item.model_validate_json(line).model_copy(update={"sample": True})
    return item.model_dump_json(exclude_none=True).encode() + b"\n"


def _put_plan(runtime: Runtime, job_id: str, plan: Plan) -> Plan | None:
    keys = JobKeys(job_id)
    try:
        patiently(lambda: runtime.store.put(keys.plan, plan.model_dump_json().encode(), if_absent=True))
    except ObjectExists:
        # Another planner's, or our own put whose answer was lost. What stands there counts.
        return patiently(lambda: _standing_plan(runtime, job_id))
    return plan


def _slots(runtime: Runtime, queue: str) -> int:
    return sum(beat.slots for beat in runtime.ledger.workers() if queue in beat.queues)


def shard_sizes(
    total: int, *, seconds_per_item: float, slots: int, target_s: float, most: int
) -> Iterator[int]:
    """Cuts `total` items into shards of about `target_s` of work.

    There are about MOST_SHARDS at most, whatever an item takes, as the ledger knows each of them. A job
    smaller than the fleet is cut finer, so that every slot has some of it, and the last fifth of a
    large one into quarters, so that no slot works alone at the end.

    Args:
        total: Items, at least 1.
        seconds_per_item: Expected.
        slots: Shards that the workers can run at once; 0 when none is known.
        target_s: Seconds of work a shard.
        most: Items a shard, at most.

    Yields:
        Sizes that add up to `total`.
    """
    size = max(1, min(most, int(target_s / max(seconds_per_item, 1e-6))))
    size = max(min(size, math.ceil(total / max(slots, 1))), min(most, math.ceil(total / MOST_SHARDS)))
    tail = max(1, size // 4) if total > 8 * size else size
    left = total
    while left > 0:
        step = min(left, size if left > total // 5 else tail)
        yield step
        left -= step


def sampled(total: int) -> frozenset[int]:
    """Indices of MIN_SAMPLES to MAX_SAMPLES items (all, if there are no more), evenly spread."""
    count = min(total, max(MIN_SAMPLES, min(MAX_SAMPLES, total // 100)))
    return frozenset(place * total // count for place in range(count))
