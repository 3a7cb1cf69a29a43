"""Runs a shard: its items one after the other, fetching ahead and storing behind.

    fetch (io threads) -> decode, infer, encode (this thread) -> store (io threads) -> one line an item

Operations with `batch_items` get several items at once; whatever goes wrong with all of them together is
tried item by item.

An output is put only where nothing stands, with its receipt as metadata. Whoever finds it there adopts
that receipt: a repeated shard redoes nothing, and a late worker never overwrites. No Celery in here.
"""

from __future__ import annotations

import os
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from pipeline.core.chain import as_one
from pipeline.core.errors import (
    BrokerUnavailable,
    DeviceFailed,
    InputMissing,
    ObjectNotFound,
    StorageUnavailable,
)
from pipeline.core.jobs import Item, JobSpec, ResultLine
from pipeline.core.keys import JobKeys, ResultName
from pipeline.core.ledger import Finish, Lease
from pipeline.core.logs import bound, get_logger
from pipeline.core.operation import BatchHandler, Handler, ItemInput, ItemOutput
from pipeline.core.params import merged_params
from workers.outputs import Outputs
from workers.pulse import Hand
from workers.retry import Fate, code_of, fate_of, message_of, patiently
from workers.runtime import Runtime

AHEAD = 2
EX_DEVICE = 70
# Batches of items that are larger than that in the mean are not fetched ahead as a whole: they would fill the
# memory.
SMALL_BYTES = 4 * 2**20


T = TypeVar("T")


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
        self._operation, self._step = as_one(runtime.registry.get, spec.steps)
        self._handler: Handler = runtime.handlers.of_job(self._operation, self._step, spec.artifacts)
        self._outputs = Outputs(runtime.store, spec, self._operation)
        # Only somebody who was here before can have left an output.
        self._look_first = hand.lease.attempt > 1 or hand.lease.quiet
        self._given_up = False

    def run(self, items: Sequence[Item]) -> list[ResultLine]:
        """One line an item, in order.

        Raises:
            Transient: Store or broker are away; see `_failed`.
        """
        try:
            return self._lines(items)
        except BaseException:
            self._given_up = True  # nobody waits for what is still being fetched and stored
            raise

    def _lines(self, items: Sequence[Item]) -> list[ResultLine]:
        storing: deque[Future[ResultLine]] = deque()
        lines: list[ResultLine] = []
        for batch in self._fetched(items):
            storing.extend(self._several(batch) if len(batch) > 1 else [self._one(*batch[0])])
            while len(storing) > max(AHEAD, len(batch)):
                lines.append(storing.popleft().result())
            self._runtime.watchdog.progress()
        lines += [future.result() for future in storing]
        patiently(self._hand.native, give_up=self._over)
        return lines

    def _fetched(self, items: Sequence[Item]) -> Iterator[list[tuple[Item, Future[Any]]]]:
        """Batches whose fetching has begun, while that of the next ones goes on.

        The first batch is one item; while items are small, each may be twice as long as the one before.
        """
        ahead: deque[tuple[Item, Future[Any]]] = deque()
        waiting, size = deque(items), 1
        while waiting or ahead:
            while waiting and len(ahead) < max(AHEAD + 1, 2 * size):
                item = waiting.popleft()
                ahead.append((item, self._runtime.io.submit(self._fetch, item)))
            batch = [ahead.popleft() for _ in range(min(size, len(ahead)))]
            yield batch
            if self._operation.batch_items > 1:
                size = min(2 * size, self._operation.batch_items) if _are_small(batch) else 1

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

    def _several(self, batch: Sequence[tuple[Item, Future[Any]]]) -> list[Future[ResultLine]]:
        """The same for several items, which the handler is given at once."""
        lines: dict[int, Future[ResultLine]] = {}
        given: list[tuple[Item, Fetched]] = []
        for item, future in batch:
            try:
                found = future.result()
            except Exception as error:  # noqa: BLE001 - as below
                lines[item.index] = _done(self._failed(item, error))
                continue
            if isinstance(found, ResultLine):
                lines[item.index] = _done(found)
            elif self._hand.stopped:
                lines[item.index] = _done(_line(item, "cancelled"))
            else:
                given.append((item, found))
        for (item, found), outcome in zip(given, self._computed(given), strict=True):
            lines[item.index] = self._settled(item, found, outcome)
        return [lines[item.index] for item, _ in batch]

    def _computed(self, given: Sequence[tuple[Item, Fetched]]) -> list[ItemOutput | Exception | None]:
        """Outputs and errors; None for an item that has to be tried alone."""
        if not given:
            return []
        items = [found.given for _, found in given]
        try:
            if self._operation.native:
                indices = [item.index for item, _ in given]
                patiently(lambda: self._hand.native(*indices), give_up=self._over)
            outcomes = cast("BatchHandler", self._handler).run_batch(items)
        except Exception as error:  # noqa: BLE001 - whose it is, is found out one by one
            log.info("batch.failed", items=len(given), code=code_of(error), error=message_of(error))
            return [None] * len(given)
        return [
            None if isinstance(one, Exception) and fate_of(one) is Fate.RETRY else one for one in outcomes
        ]

    def _settled(
        self, item: Item, found: Fetched, outcome: ItemOutput | Exception | None
    ) -> Future[ResultLine]:
        if outcome is None:
            return self._one(item, _done_with(found))
        if isinstance(outcome, Exception):
            with bound(item=item.index, custom_id=item.custom_id):
                return _done(self._failed(item, outcome))
        return self._runtime.io.submit(self._store, item, outcome, len(found.given.data), found.seconds)

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
        """The line of an item that failed.

        Raises:
            Transient: It is no fault of the item's: store or broker are away for all.
        """
        if isinstance(error, DeviceFailed):
            _die(error)
        if not self._hand.stopped and self._is_away(error):
            raise error
        fate = fate_of(error)
        if fate is Fate.RETRY and self._hand.stopped:
            return _line(item, "cancelled")  # it was still being tried when nobody wanted it any more
        if fate is Fate.FAIL:
            log.info("item.failed", code=code_of(error), error=message_of(error))
        else:
            log.error("item.failed", code=code_of(error), exc_info=error)
        return _line(item, "failed", error={"code": code_of(error), "message": message_of(error)})

    def _is_away(self, error: Exception) -> bool:
        """Whether an error that outlasted all patience is an outage, and not about one object alone.

        A store may still answer for what it cannot give or take: so both are tried.
        """
        if isinstance(error, StorageUnavailable):
            store, keys = self._runtime.store, JobKeys(self._spec.id)
            try:
                with suppress(ObjectNotFound):
                    store.get(keys.spec)
                store.put(keys.probe, b"")
            except StorageUnavailable:
                return True
        return isinstance(error, BrokerUnavailable)

    def _over(self) -> bool:
        return self._given_up or self._hand.stopped


def _die(error: DeviceFailed) -> None:
    """A process whose device has failed would fail every item that it can get. Another one starts afresh.

    To the ledger it is a death like any other: should it be an item's doing, that is run alone next time.
    """
    log.critical("device.failed", error=error.message)
    os._exit(EX_DEVICE)


def _line(item: Item, status: Any, **fields: Any) -> ResultLine:
    return ResultLine(index=item.index, custom_id=item.custom_id, status=status, input=item.input, **fields)


def _are_small(batch: Sequence[tuple[Item, Future[Any]]]) -> bool:
    """Whether the inputs of a batch that was run are small in the mean."""
    found = [future.result() for _, future in batch if future.exception() is None]
    sizes = [len(one.given.data) for one in found if isinstance(one, Fetched)]
    return sum(sizes) <= SMALL_BYTES * len(batch)


def _done(line: ResultLine) -> Future[ResultLine]:
    return _done_with(line)


def _done_with(result: T) -> Future[T]:
    future: Future[T] = Future()
    future.set_result(result)
    return future
