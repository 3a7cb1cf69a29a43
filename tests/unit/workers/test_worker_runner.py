"""A run of a shard: one line an item, in order, whatever happens on the way."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pipeline.core.errors import (
    DeviceFailed,
    DeviceOutOfMemory,
    Fault,
    InvalidInput,
    StorageUnavailable,
    Transient,
)
from pipeline.core.jobs import Item, ResultLine, Step
from pipeline.core.keys import JobKeys, ResultName
from pipeline.core.ledger import Finish, Refusal
from pipeline.core.memory import MemoryObjectStore
from pipeline.core.operation import ItemInput, ItemOutput
from pipeline.core.storage import ObjectInfo
from tests.unit.workers.workbench import JOB, Bench, BytesIn, ScriptedLedger, lease, spec, wait_until
from workers.pulse import Hand
from workers.runner import AHEAD, EX_DEVICE, ShardRun, read_items, run_shard


def items_for(bench: Bench, count: int, **fields: Any) -> list[Item]:
    keys = bench.put_inputs(*(f"{number}.jpg" for number in range(count)))
    return [
        Item(index=number, custom_id=f"c{number}", input=key, **fields) for number, key in enumerate(keys)
    ]


def hand(entry: str = "0", *, attempt: int = 1) -> Hand:
    return Hand(lease(entry, attempt=attempt), ScriptedLedger())  # type: ignore[arg-type]


def run(
    bench: Bench, items: list[Item], in_hand: Hand | None = None, operation: str = "copy"
) -> list[ResultLine]:
    return ShardRun(bench.runtime, in_hand or hand(), spec(operation)).run(items)


def statuses(lines: list[ResultLine]) -> list[str]:
    return [line.status if line.error is None else line.error["code"] for line in lines]


def good(item: ItemInput) -> ItemOutput:
    return ItemOutput(BytesIn(bytes_in=len(item.data)), item.data)


def by_name(answers: dict[str, Exception]) -> Callable[[ItemInput], ItemOutput]:
    """A handler that raises for some items."""

    def answer(item: ItemInput) -> ItemOutput:
        if item.name in answers:
            raise answers[item.name]
        return good(item)

    return answer


def test_lines_stand_in_input_order_whoever_is_faster() -> None:
    """Slow fetches and slow puts of single items change nothing in the order of the lines."""

    class Uneven(MemoryObjectStore):
        def get(self, key: str, *, max_bytes: int | None = None) -> bytes:
            pause(key)
            return super().get(key, max_bytes=max_bytes)

        def put(self, key: str, data: bytes, **fields: Any) -> None:
            pause(data.decode())
            super().put(key, data, **fields)

    late = threading.Event()

    def pause(name: str) -> None:
        if name.endswith(("0.jpg", "3.jpg")):
            late.wait(0.05)

    bench = Bench()
    items = items_for(bench, 8)
    bench.use(Uneven())
    lines = run(bench, items)
    bench.close()
    assert [line.index for line in lines] == list(range(8))
    assert statuses(lines) == ["succeeded"] * 8
    assert [bench.store.get(line.output or "") for line in lines] == [f"{n}.jpg".encode() for n in range(8)]


def test_errors_are_the_items_own(bench: Bench, little_patience: None) -> None:
    """Invalid, faulty, transient beyond patience, out of memory, unexpected: the others succeed."""
    bench.handler._run = by_name(
        {
            "c1": InvalidInput("bad picture"),
            "c2": Fault("ours"),
            "c3": Transient("again and again"),
            "c4": DeviceOutOfMemory("full"),
            "c5": ZeroDivisionError("secret"),
            "c6": MemoryError(),
        }
    )
    lines = run(bench, items_for(bench, 8))
    assert statuses(lines) == [
        "succeeded",
        "invalid_input",
        "fault",
        "transient",
        "device_out_of_memory",
        "internal_error",
        "device_out_of_memory",
        "succeeded",
    ]
    assert "secret" not in str(lines)
    assert bench.handler.ran.count("c1") == 1
    assert bench.handler.ran.count("c3") > 1


def test_what_planning_found_is_the_items_line(bench: Bench) -> None:
    """An item that was broken when it was planned is never run; its error is the planner's."""
    broken = Item(index=0, custom_id="c", input=None, error={"code": "input_missing", "message": "m"})
    (line,) = run(bench, [broken])
    assert line.error == {"code": "input_missing", "message": "m"}
    assert bench.handler.ran == []


def test_an_input_that_is_gone_or_too_large_fails_its_item() -> None:
    """Deleted since planning, or over the limit: it is never handed to the handler."""
    bench = Bench(max_input_bytes=3)
    bench.store.put("owners/ann/big", b"four")
    items = [Item(index=n, custom_id=k, input=f"owners/ann/{k}") for n, k in enumerate(("gone", "big"))]
    lines = run(bench, items)
    bench.close()
    assert statuses(lines) == ["input_missing", "input_too_large"]
    assert bench.handler.ran == []


def test_params_of_an_item_replace_those_of_the_step(bench: Bench) -> None:
    """Name by name, validated; a wrong one is the item's error."""
    seen: list[Any] = []
    bench.handler._run = lambda item: (seen.append(item.params), good(item))[1]
    items = [
        Item(index=0, custom_id="a", input="owners/ann/x"),
        Item(index=1, custom_id="b", input="owners/ann/x", params={"seconds": 2}),
        Item(index=2, custom_id="c", input="owners/ann/x", params={"seconds": "long"}),
    ]
    job = spec("sleep", steps=[Step(operation="sleep", params={"seconds": 1})])
    lines = ShardRun(bench.runtime, hand(), job).run(items)
    assert [params.seconds for params in seen] == [1, 2]
    assert statuses(lines) == ["succeeded", "succeeded", "invalid_params"]


def test_cancel_midway(bench: Bench) -> None:
    """What was computed is kept, the rest is cancelled, in order, and nothing more is run."""
    in_hand = hand()

    def cancels(item: ItemInput) -> ItemOutput:
        in_hand.cancelled = item.name == "c3"
        return good(item)

    bench.handler._run = cancels
    lines = run(bench, items_for(bench, 10), in_hand)
    assert statuses(lines) == ["succeeded"] * 4 + ["cancelled"] * 6
    assert bench.handler.ran == ["c0", "c1", "c2", "c3"]


def test_a_cancelled_item_that_was_being_retried_is_cancelled(bench: Bench) -> None:
    """It did not fail: nobody wanted it any more."""
    in_hand = hand()

    def cancels(item: ItemInput) -> ItemOutput:
        in_hand.cancelled = True
        raise StorageUnavailable("away")

    bench.handler._run = cancels
    assert statuses(run(bench, items_for(bench, 2), in_hand)) == ["cancelled"] * 2


def test_lost_midway_writes_nothing(bench: Bench) -> None:
    """Whoever took the entry over writes its results; this run stops and leaves no results object."""
    job = bench.planned(spec(), items_for(bench, 6))
    in_hand = bench.begin()

    def loses(item: ItemInput) -> ItemOutput:
        in_hand.lost = True
        return good(item)

    bench.handler._run = loses
    assert run_shard(bench.runtime, in_hand) is None
    assert bench.handler.ran == ["c0"]
    assert bench.stored(JobKeys(job.id).shard_results_prefix) == []
    assert bench.view().finished == 0


def test_a_shard_is_counted_and_its_results_are_named_for_it(bench: Bench) -> None:
    """The name of the results object says all that a listing needs."""
    job = bench.planned(spec(), items_for(bench, 3))
    bench.handler._run = by_name({"c1": InvalidInput("bad")})
    in_hand = bench.begin()
    assert run_shard(bench.runtime, in_hand) is Finish.WON
    name = ResultName(in_hand.lease.token, 2, 1, 0)
    (key,) = bench.stored(JobKeys(job.id).shard_results_prefix)
    assert key == JobKeys(job.id).shard_results("0", str(name))
    assert statuses(bench.lines(key)) == ["succeeded", "invalid_input", "succeeded"]
    assert bench.ledger.winners(job.id) == {"0": str(name)}
    assert bench.view().counts.model_dump() == {"total": 3, "succeeded": 2, "failed": 1, "cancelled": 0}


def test_a_loser_leaves_the_winner_alone(bench: Bench) -> None:
    """Of two runs of a shard one counts, whose lines stay as they are."""
    job = bench.planned(spec(), items_for(bench, 3))
    late = bench.begin()
    bench.clock.now += 60  # its lease ends, another run takes over
    bench.ledger.sweep("work.bulk.cpu", 0)
    second = bench.begin()
    assert run_shard(bench.runtime, second) is Finish.WON
    (won,) = bench.stored(JobKeys(job.id).shard_results_prefix)
    lines, winners = bench.lines(won), bench.ledger.winners(job.id)
    assert run_shard(bench.runtime, late) is Finish.LOST
    assert bench.lines(won) == lines
    assert bench.ledger.winners(job.id) == winners == {"0": str(ResultName(second.lease.token, 3, 0, 0))}


def test_suspects_are_left_out_and_run_alone(bench: Bench) -> None:
    """After a death over item 1 the shard has the others, and the suspect's entry has that one."""
    items = items_for(bench, 3)
    bench.planned(spec(), items)
    dead = bench.begin()
    dead.native(1)
    bench.clock.now += 60
    bench.ledger.sweep("work.bulk.cpu", 0)
    first, second = bench.ledger.dispatch("work.bulk.cpu", 0)
    for sending, indices, quiet in ((first, [0, 2], False), (second, [1], True)):
        found = bench.ledger.begin(JOB, sending.entry, sending.token, worker="w", nonce=sending.entry)
        assert not isinstance(found, Refusal)
        assert [item.index for item in read_items(bench.runtime, found)] == indices
        assert found.quiet is quiet
        assert run_shard(bench.runtime, Hand(found, bench.ledger)) is Finish.WON
    assert bench.view().counts.succeeded == 3
    assert sorted(bench.ledger.winners(JOB)) == ["0", "0.1"]


@pytest.mark.parametrize(("entry", "attempt", "looks"), [("0", 1, False), ("0", 2, True), ("0.1", 1, True)])
def test_a_repeated_run_looks_first(bench: Bench, entry: str, attempt: int, looks: bool) -> None:
    """What an earlier attempt left is adopted without fetching or computing it again."""
    items = items_for(bench, 2)
    before = run(bench, items)
    bench.handler.ran.clear()
    bench.store.delete([item.input for item in items if item.input] if looks else [])
    assert run(bench, items, hand(entry, attempt=attempt)) == before
    assert (bench.handler.ran == []) is looks


def test_it_fetches_ahead_and_stores_behind_within_bounds(bench: Bench) -> None:
    """While an item computes the next two are being fetched, and no more, whatever the shard's size."""
    fetched, counting = [], threading.Lock()

    class Counts(MemoryObjectStore):
        def get(self, key: str, *, max_bytes: int | None = None) -> bytes:
            with counting:
                fetched.append(key)
            return super().get(key, max_bytes=max_bytes)

    bench.use(Counts())
    ahead: list[int] = []

    def looks(item: ItemInput) -> ItemOutput:
        done = len(ahead) + 1
        if done <= 12 - AHEAD:
            wait_until(lambda: len(fetched) >= done + AHEAD)
        ahead.append(len(fetched) - done)
        return good(item)

    bench.handler._run = looks
    run(bench, items_for(bench, 12))
    assert max(ahead) == AHEAD
    assert ahead[:-AHEAD] == [AHEAD] * 10


def test_stores_behind_are_bounded(bench: Bench) -> None:
    """A store that takes its time holds the computing up: at most two outputs wait, one is made."""
    release, ran = threading.Event(), bench.handler.ran

    class Slow(MemoryObjectStore):
        def put(self, key: str, data: bytes, **fields: Any) -> None:
            release.wait(10)
            super().put(key, data, **fields)

    items = items_for(bench, 10)
    bench.use(Slow())
    lines: list[list[ResultLine]] = []
    thread = threading.Thread(target=lambda: lines.append(run(bench, items)))
    thread.start()
    wait_until(lambda: len(ran) == AHEAD + 1)
    thread.join(0.1)
    assert len(ran) == AHEAD + 1
    release.set()
    thread.join(10)
    assert statuses(lines[0]) == ["succeeded"] * 10


def test_items_in_native_code_are_named_before_they_run(bench: Bench) -> None:
    """One at a time, and none once the shard is done; operations without native code name none."""
    ledger = ScriptedLedger()
    named: list[tuple[int, ...]] = []

    def looks(item: ItemInput) -> ItemOutput:
        named.append(ledger.native_calls[-1])
        return good(item)

    bench.handler._run = looks
    items = items_for(bench, 3)
    run(bench, items, Hand(lease(), ledger), "crash")  # type: ignore[arg-type]
    assert named == [(0,), (1,), (2,)]
    assert ledger.native_calls[-1] == ()

    quiet = ScriptedLedger()
    bench.handler._run = good
    run(bench, items, Hand(lease(attempt=2), quiet), "copy")  # type: ignore[arg-type]
    assert quiet.native_calls == []


def test_inputs_are_not_fetched_where_nobody_reads_them(bench: Bench) -> None:
    """An operation that reads no input runs without the object."""
    items = [Item(index=0, custom_id="a", input="owners/ann/nowhere")]
    assert statuses(run(bench, items, operation="noop")) == ["succeeded"]


def test_progress_is_told_for_every_item(bench: Bench) -> None:
    """The watchdog sees a long shard move."""
    run(bench, items_for(bench, 5))
    assert bench.watchdog.moves == 5


def test_an_outage_of_the_store_is_sat_out(bench: Bench) -> None:
    """Fetch and put are tried until they work; no item fails for it."""
    failures: Iterator[bool] = iter([True, True, False, True, False])

    class Flaky(MemoryObjectStore):
        def get(self, key: str, *, max_bytes: int | None = None) -> bytes:
            if next(failures, False):
                raise StorageUnavailable("away")
            return super().get(key, max_bytes=max_bytes)

        def put(self, key: str, data: bytes, **fields: Any) -> None:
            if next(failures, False):
                raise StorageUnavailable("away")
            super().put(key, data, **fields)

    items = items_for(bench, 1)
    bench.use(Flaky())
    assert statuses(run(bench, items)) == ["succeeded"]


@pytest.mark.usefixtures("little_patience")
def test_a_long_outage_fails_no_item(bench: Bench) -> None:
    """Where the store does not answer at all when patience has run out, the shard goes back, unblamed."""

    class Away(MemoryObjectStore):
        def get(self, key: str, *, max_bytes: int | None = None) -> bytes:
            raise StorageUnavailable("away")

        def stat(self, key: str) -> ObjectInfo:
            raise StorageUnavailable("away")

    items = items_for(bench, 2)
    bench.use(Away())
    with pytest.raises(StorageUnavailable):
        run(bench, items)


@pytest.mark.usefixtures("little_patience")
def test_an_outage_while_storing_fails_no_item(bench: Bench) -> None:
    class Full(MemoryObjectStore):
        def put(self, key: str, data: bytes, **fields: Any) -> None:
            raise StorageUnavailable("away")

        def stat(self, key: str) -> ObjectInfo:
            raise StorageUnavailable("away")

    items = items_for(bench, 2)
    bench.use(Full())
    with pytest.raises(StorageUnavailable):
        run(bench, items)


@pytest.mark.usefixtures("little_patience")
def test_an_object_that_cannot_be_read_fails_alone(bench: Bench) -> None:
    """The store answers for others: waiting longer would hold up the job for one input."""

    class Sick(MemoryObjectStore):
        def get(self, key: str, *, max_bytes: int | None = None) -> bytes:
            if key.endswith("1.jpg"):
                raise StorageUnavailable("this one does not come")
            return super().get(key, max_bytes=max_bytes)

    items = items_for(bench, 3)
    bench.enter(spec())
    bench.use(Sick())
    assert statuses(run(bench, items)) == ["succeeded", "storage_unavailable", "succeeded"]


def test_a_process_whose_device_has_failed_ends(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would fail all that it can get, and the ledger knows what to do after a death."""
    codes: list[int] = []

    def leave(code: int) -> None:
        codes.append(code)
        raise SystemExit(code)

    monkeypatch.setattr("os._exit", leave)
    bench.handler._run = by_name({"c1": DeviceFailed("CUDA failure 700")})
    with pytest.raises(SystemExit):
        run(bench, items_for(bench, 3))
    assert codes == [EX_DEVICE]
