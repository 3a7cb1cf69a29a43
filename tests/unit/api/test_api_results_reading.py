from __future__ import annotations

import pytest

from pipeline.core.errors import InvalidCursor
from pipeline.core.jobs import Item, Plan, ResultLine
from pipeline.core.keys import JobKeys, ResultName
from pipeline.core.memory import MemoryObjectStore
from pipeline.core.results import Cursor, JobResults

JOB = f"job_{'1' * 32}"
KEYS = JobKeys(JOB)


class Written:
    """A job in storage: its manifest, and results as they come."""

    def __init__(self, shards: list[int]) -> None:
        self.store = MemoryObjectStore()
        self.sizes = shards
        self.winners: dict[str, str] = {}
        items = iter(range(sum(shards)))
        for number, size in enumerate(shards):
            lines = [
                Item(index=i, custom_id=f"c{i}", input=f"k{i}") for i in (next(items) for _ in range(size))
            ]
            text = "".join(f"{line.model_dump_json()}\n" for line in lines)
            self.store.put(KEYS.manifest("p", number), text.encode())
        plan = Plan(token="p", shards=len(shards), items=sum(shards))
        self.store.put(KEYS.plan, plan.model_dump_json().encode())

    def run(self, entry: str, good: list[int], bad: tuple[int, ...] = (), held: tuple[int, ...] = ()) -> None:
        """Writes the results of an entry; lines of failed items come last, out of order."""
        name = str(ResultName(f"t{len(self.winners)}", len(good), len(bad), 0, held))
        lines = [ResultLine(index=i, custom_id=f"c{i}", status="succeeded", output=f"o{i}") for i in good]
        error = {"code": "x", "message": "y"}
        lines += [ResultLine(index=i, custom_id=f"c{i}", status="failed", error=error) for i in bad]
        text = "".join(f"{line.model_dump_json(exclude_none=True)}\n" for line in lines)
        self.store.put(KEYS.shard_results(entry, name), text.encode())
        self.winners[entry] = name

    def results(self, *, ended: bool = False, error: dict[str, str] | None = None) -> JobResults:
        return JobResults(self.store, JOB, self.winners, len(self.sizes), ended=ended, error=error)

    def read(
        self, start: Cursor | None = None, *, ended: bool = False, failed: bool = False
    ) -> list[tuple[str, int]]:
        lines = self.results(ended=ended).read(start, failed_only=failed)
        return [(str(cursor), ResultLine.model_validate_json(raw).index) for cursor, raw in lines]


def test_lines_come_in_input_order() -> None:
    """Lines are read by index, whatever order they were written in and shards finished in."""
    written = Written([3, 2])
    written.run("1", [3, 4])
    written.run("0", [0, 2], bad=(1,))
    assert written.read() == [("0:0", 0), ("0:1", 1), ("0:2", 2), ("1:0", 3), ("1:1", 4)]
    assert written.results().complete


def test_unfinished_shards_are_passed_over() -> None:
    """While a job runs, its finished shards are there, and no line of others."""
    written = Written([2, 2, 2])
    written.run("2", [4, 5])
    written.run("0", [0, 1])
    assert [index for _, index in written.read()] == [0, 1, 4, 5]
    assert not written.results().complete


def test_suspects_belong_to_their_shard() -> None:
    """A shard that left items out is finished when those are, and its lines lie among theirs."""
    written = Written([4, 1])
    written.run("0", [0, 2], held=(1, 3))
    assert written.read() == []
    written.run("0.3", [], bad=(3,))
    assert written.read() == []
    written.run("0.1", [1])
    assert written.read() == [("0:0", 0), ("0:1", 1), ("0:2", 2), ("0:3", 3)]
    assert written.read(failed=True) == [("0:3", 3)]


@pytest.mark.parametrize("start", range(6))
def test_every_cursor_goes_on_where_it_stands(start: int) -> None:
    """Reading on from any line's cursor gives the rest."""
    written = Written([3, 0, 2, 1])
    for entry, good in (("0", [0, 1, 2]), ("1", []), ("2", [3, 4]), ("3", [5])):
        written.run(entry, good)
    whole = written.read()
    assert written.read(Cursor.parse(whole[start][0])) == whole[start:]


def test_only_shards_with_failures_are_fetched() -> None:
    """Errors of a large job cost what failed, not what succeeded."""
    written = Written([1, 2, 1])
    written.run("0", [0])
    written.run("1", [1], bad=(2,))
    written.run("2", [3])
    written.store.delete([KEYS.shard_results(entry, written.winners[entry]) for entry in ("0", "2")])
    assert written.read(failed=True) == [("1:1", 2)]


def test_items_that_never_ran_are_cancelled() -> None:
    """Once a job has ended, each item has exactly one line; what never ran is cancelled, and says why."""
    written = Written([2, 3, 1])
    written.run("1", [2], held=(3, 4))
    written.run("1.3", [], bad=(3,))
    error = {"code": "undeliverable", "message": "sent five times"}
    lines = [
        ResultLine.model_validate_json(raw) for _, raw in written.results(ended=True, error=error).read()
    ]
    assert [line.index for line in lines] == [0, 1, 2, 3, 4, 5]
    statuses = ["cancelled", "cancelled", "succeeded", "failed", "cancelled", "cancelled"]
    assert [line.status for line in lines] == statuses
    assert (lines[0].custom_id, lines[0].input, lines[0].error) == ("c0", "k0", error)


@pytest.mark.parametrize("sizes", [[1], [5], [1, 1, 1], [3, 1, 4, 1, 5], [2] * 17])
def test_an_item_is_found_by_its_index(sizes: list[int]) -> None:
    """Whatever the shards' sizes, an item's line is the one with its index; no other index has one."""
    written = Written(sizes)
    index = 0
    for number, size in enumerate(sizes):
        written.run(str(number), list(range(index, index + size)))
        index += size
    results = written.results()
    for wanted in range(index):
        line = results.item(wanted)
        assert line is not None
        assert (line["index"], line["output"]) == (wanted, f"o{wanted}")
    assert results.item(index) is None
    assert results.item(10**8) is None


def test_an_item_without_a_result() -> None:
    """An item whose shard is not finished, or a job without a plan, has no line."""
    written = Written([2, 2])
    written.run("1", [2, 3])
    assert written.results().item(0) is None
    assert JobResults(MemoryObjectStore(), JOB, {}, 0).item(0) is None


@pytest.mark.parametrize(
    "text", ["", "1", "1:", ":1", "-1:0", "1:2:3", "a:b", "1:1\n", "\u0663:\u0661", "9999999999:0"]
)
def test_cursors_that_are_none(text: str) -> None:
    """Only "shard:line" is a cursor."""
    with pytest.raises(InvalidCursor):
        Cursor.parse(text)


def test_cursors_of_other_jobs() -> None:
    """A cursor past the last shard was never given out."""
    written = Written([1])
    written.run("0", [0])
    with pytest.raises(InvalidCursor):
        list(written.results().read(Cursor(2, 0)))
    assert written.read(Cursor(1, 0)) == []
