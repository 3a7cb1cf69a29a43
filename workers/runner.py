"""Runs a shard: its items one after the other, fetching ahead and storing behind.

    fetch (io threads) -> decode, infer, encode (this thread) -> store (io threads) -> one line an item

An output is put only where nothing stands, with its receipt as metadata. Whoever finds it there adopts
that receipt: a repeated shard redoes nothing, and a late worker never overwrites. No Celery in here.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from pipeline.core.errors import InputMissing, ObjectNotFound
from pipeline.core.jobs import Item, JobSpec, ResultLine
from pipeline.core.keys import JobKeys, ResultName
from pipeline.core.ledger import Finish, Lease
from pipeline.core.logs import bound, get_logger
from pipeline.core.operation import Handler, ItemInput, ItemOutput, Operation
from pipeline.core.params import merged_params
from workers.outputs import Outputs
from workers.pulse import Hand
from workers.retry import Fate, code_of, fate_of, message_of, patiently
from workers.runtime import Runtime

AHEAD = 2


@dataclass(frozen=True, eq=False)
class Fetched:
    """All that a handler needs for an item.

    Attributes:
        seconds: That fetching the input took.
    """

    given: ItemInput
    seconds: float


log = get_logger(__name__)


def run_shard(runtime: Runtime, hand: Hand) -> Finish | None:
    """Runs what the lease in hand names, stores the lines, and counts them in the ledger.

    Returns:
        What the ledger made of the results; None when the lease was lost on the way.
    """
    started = time.monotonic()
    lease = hand.lease
    spec = patiently(lambda: runtime.spec(lease.job_id, lease.plan_token), give_up=lambda: hand.lost)
    items = patiently(lambda: read_items(runtime, lease), give_up=lambda: hand.lost)
    lines = ShardRun(runtime, hand, spec).run(items)
    if hand.lost:
        log.warning("shard.lost", attempt=hand.lease.attempt)
        return None
    return finish_shard(runtime, hand.lease, lines, seconds=time.monotonic() - started)


def read_items(runtime: Runtime, lease: Lease) -> list[Item]:
    """The items of a shard without those held out, or the one item of a suspect entry."""
    shard, _, suspect = lease.entry.removeprefix("bury.").partition(".")
    manifest = runtime.store.get(JobKeys(lease.job_id).manifest(lease.plan_token, int(shard)))
    items = map(Item.model_validate_json, manifest.splitlines())
    if suspect:
        return [item for item in items if item.index == int(suspect)]
    return [item for item in items if item.index not in lease.held]


def finish_shard(runtime: Runtime, lease: Lease, lines: Sequence[ResultLine], *, seconds: float) -> Finish:
    """Stores a shard's lines and offers them to the ledger.

    Lines that do not count stay where they are: a reconciliation that has just listed them may make them
    count.
    """
    counts = Counter(line.status for line in lines)
    name = ResultName(lease.token, counts["succeeded"], counts["failed"], counts["cancelled"], lease.held)
    result = str(name)
    entry = lease.entry.removeprefix("bury.")
    key = JobKeys(lease.job_id).shard_results(entry, result)
    body = b"".join(line.model_dump_json(exclude_none=True).encode() + b"\n" for line in lines)
    patiently(lambda: runtime.store.put(key, body, content_type="application/x-ndjson"))
    own = Lease(lease.job_id, entry, lease.token, lease.attempt, lease.lease_s, lease.held)
    answer = patiently(lambda: runtime.ledger.finish(own, result, seconds=seconds))
    log.info("shard.finished", answer=answer.value, counts=dict(counts), seconds=round(seconds, 3))
    return answer


class ShardRun:
    """One run of one shard."""

    def __init__(self, runtime: Runtime, hand: Hand, spec: JobSpec) -> None:
        self._runtime = runtime
        self._hand = hand
        self._spec = spec
        self._step = spec.steps[0]
        self._operation: Operation = runtime.registry.get(self._step.operation)
        self._handler: Handler = runtime.handlers.get(self._operation, spec.artifacts)
        self._outputs = Outputs(runtime.store, spec, self._operation)
        # Only somebody who was here before can have left an output.
        self._look_first = hand.lease.attempt > 1 or hand.lease.quiet

    def run(self, items: Sequence[Item]) -> list[ResultLine]:
        """One line an item, in order."""
        storing: deque[Future[ResultLine]] = deque()
        lines: list[ResultLine] = []
        for item, fetched in self._fetched(items):
            storing.append(self._one(item, fetched))
            while len(storing) > AHEAD:
                lines.append(storing.popleft().result())
            self._runtime.watchdog.progress()
        lines += [future.result() for future in storing]
        self._hand.native()
        return lines

    def _fetched(self, items: Sequence[Item]) -> Iterator[tuple[Item, Future[Any]]]:
        ahead: deque[tuple[Item, Future[Any]]] = deque()
        for item in items:
            ahead.append((item, self._runtime.io.submit(self._fetch, item)))
            if len(ahead) > AHEAD:
                yield ahead.popleft()
        yield from ahead

    def _fetch(self, item: Item) -> ResultLine | Fetched:
        """What the handler needs of the store, or the item's line if it has one already."""
        if self._hand.stopped:
            return _line(item, "cancelled")
        if item.error is not None or item.input is None:
            error = item.error or {"code": InputMissing.code, "message": InputMissing().message}
            return _line(item, "failed", error=error)
        if self._look_first and (adopted := patiently(lambda: self._outputs.find(item), give_up=self._over)):
            return adopted
        params = merged_params(self._operation, self._step.params, item.params)
        started = time.monotonic()
        data = self._input(item.input) if self._operation.reads_input else b""
        seconds = time.monotonic() - started
        objects = self._runtime.related.fetch(self._spec, params, give_up=self._over)
        given = ItemInput(data, name=item.custom_id, params=params, sample=item.sample, objects=objects)
        return Fetched(given, seconds)

    def _input(self, key: str) -> bytes:
        limit = self._runtime.settings.max_input_bytes
        try:
            return patiently(lambda: self._runtime.store.get(key, max_bytes=limit), give_up=self._over)
        except ObjectNotFound:
            raise InputMissing(f"no object {key!r}") from None

    def _one(self, item: Item, fetched: Future[Any]) -> Future[ResultLine]:
        """Decodes, infers and encodes one item here, and hands the output to the io threads."""
        with bound(item=item.index, custom_id=item.custom_id):
            try:
                found = fetched.result()
                if isinstance(found, ResultLine):
                    return _done(found)
                if self._hand.stopped:
                    return _done(_line(item, "cancelled"))
                output = self._compute(item, found.given)
            except Exception as error:  # noqa: BLE001 - any error is this item's, never its shard's
                return _done(self._failed(item, error))
        return self._runtime.io.submit(self._store, item, output, len(found.given.data), found.seconds)

    def _compute(self, item: Item, given: ItemInput) -> ItemOutput:
        if self._operation.native:
            patiently(lambda: self._hand.native(item.index), give_up=self._over)
        return patiently(lambda: self._handler.run(given), give_up=self._over)

    def _store(self, item: Item, output: ItemOutput, bytes_in: int, fetch_s: float) -> ResultLine:
        with bound(item=item.index, custom_id=item.custom_id):
            try:
                return patiently(
                    lambda: self._outputs.put(item, output, bytes_in=bytes_in, fetch_s=fetch_s),
                    give_up=self._over,
                )
            except Exception as error:  # noqa: BLE001 - as above
                return self._failed(item, error)

    def _failed(self, item: Item, error: Exception) -> ResultLine:
        fate = fate_of(error)
        if fate is Fate.RETRY and self._hand.stopped:
            return _line(item, "cancelled")  # it was still being tried when nobody wanted it any more
        if fate is Fate.FAIL:
            log.info("item.failed", code=code_of(error), error=message_of(error))
        else:
            log.error("item.failed", code=code_of(error), exc_info=error)
        return _line(item, "failed", error={"code": code_of(error), "message": message_of(error)})

    def _over(self) -> bool:
        return self._hand.stopped


def _line(item: Item, status: Any, **fields: Any) -> ResultLine:
    return ResultLine(index=item.index, custom_id=item.custom_id, status=status, input=item.input, **fields)


def _done(line: ResultLine) -> Future[ResultLine]:
    future: Future[ResultLine] = Future()
    future.set_result(line)
    return future
