"""Operations that take several items at once: batches grow, an item's trouble stays its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from pipeline.core.errors import DeviceOutOfMemory, InternalError, InvalidInput
from pipeline.core.jobs import Item, ResultLine, Step
from pipeline.core.keys import JobKeys
from pipeline.core.ledger import CONTROL
from pipeline.core.operation import ItemInput, ItemOutput
from pipeline.inference.search import read_matrix
from tests.support.describe import BROKEN, ColourEngine, describer, swatch
from tests.unit.workers.workbench import JOB, Bench, BytesIn, ScriptedLedger, lease, spec
from workers import runner
from workers.finalise import finalise_job
from workers.pulse import Hand
from workers.runner import ShardRun, run_shard

KEYS = JobKeys(JOB)
PICTURES = {"red.png": swatch(250, 9, 9), "green.png": swatch(9, 250, 9), "blue.png": swatch(9, 9, 250)}


class Batching:
    """A handler that remembers its batches, and answers by name."""

    def __init__(self, answer: Callable[[ItemInput], ItemOutput] | None = None) -> None:
        self.batches: list[list[str]] = []
        self.alone: list[str] = []
        self._answer = answer or (lambda item: ItemOutput(BytesIn(bytes_in=len(item.data)), item.data))

    def warm_up(self) -> None:
        """Nothing is cold."""

    def run(self, item: ItemInput) -> ItemOutput:
        self.alone.append(item.name)
        return self._answer(item)

    def run_batch(self, items: Sequence[ItemInput]) -> list[ItemOutput | Exception]:
        self.batches.append([item.name for item in items])
        outcomes: list[ItemOutput | Exception] = []
        for item in items:
            try:
                outcomes.append(self._answer(item))
            except Exception as error:  # noqa: BLE001 - as the protocol says
                outcomes.append(error)
        return outcomes


def use(bench: Bench, handler: object) -> None:
    bench.runtime.handlers._handler = handler  # type: ignore[attr-defined]


def items_for(bench: Bench, count: int) -> list[Item]:
    keys = bench.put_inputs(*(f"{number}.jpg" for number in range(count)))
    return [Item(index=number, custom_id=f"c{number}", input=key) for number, key in enumerate(keys)]


def run(bench: Bench, items: list[Item], ledger: ScriptedLedger | None = None) -> list[ResultLine]:
    hand = Hand(lease("0"), ledger or ScriptedLedger())  # type: ignore[arg-type]
    return ShardRun(bench.runtime, hand, spec("describe")).run(items)


def test_batches_grow_to_the_operations_size(bench: Bench) -> None:
    """1, 2, 4, 8, 8, ...; every item once, lines in order; the ledger hears which items are at work."""
    handler, ledger = Batching(), ScriptedLedger()
    use(bench, handler)
    lines = run(bench, items_for(bench, 30), ledger)
    assert [line.index for line in lines] == list(range(30))
    assert {line.status for line in lines} == {"succeeded"}
    assert [len(batch) for batch in handler.batches] == [2, 4, 8, 8, 7]
    assert handler.alone == ["c0"]
    named = [call for call in ledger.native_calls if call]
    assert [len(call) for call in named] == [1, 2, 4, 8, 8, 7]
    assert ledger.native_calls[-1] == ()


def test_large_items_go_one_by_one(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch of them, fetched ahead, would fill the memory."""
    monkeypatch.setattr(runner, "SMALL_BYTES", 3)
    handler = Batching()
    use(bench, handler)
    assert len(run(bench, items_for(bench, 9))) == 9
    assert handler.batches == []
    assert len(handler.alone) == 9


def test_an_items_error_is_its_own(bench: Bench) -> None:
    def answer(item: ItemInput) -> ItemOutput:
        if item.name in ("c1", "c6"):
            raise InvalidInput("bad")
        return ItemOutput(BytesIn(bytes_in=0))

    handler = Batching(answer)
    use(bench, handler)
    items = items_for(bench, 7)
    items[4] = items[4].model_copy(update={"input": "owners/ann/gone.jpg"})
    lines = run(bench, items)
    errors = {line.index: line.error["code"] for line in lines if line.error}
    assert errors == {1: "invalid_input", 4: "input_missing", 6: "invalid_input"}
    assert handler.alone == ["c0"]  # the others of their batches did not run twice


def test_what_may_pass_is_tried_alone(bench: Bench) -> None:
    """An item whose trouble was transient, and all of a batch that broke as a whole."""
    tries: Counter[str] = Counter()

    def answer(item: ItemInput) -> ItemOutput:
        tries[item.name] += 1
        if item.name == "c2" and tries["c2"] == 1:
            raise DeviceOutOfMemory
        return ItemOutput(BytesIn(bytes_in=0))

    handler = Batching(answer)
    use(bench, handler)
    assert {line.status for line in run(bench, items_for(bench, 7))} == {"succeeded"}
    assert handler.alone == ["c0", "c2"]

    class Broken(Batching):
        def run_batch(self, items: Sequence[ItemInput]) -> list[ItemOutput | Exception]:
            raise InternalError("all of them")

    broken = Broken()
    use(bench, broken)
    assert {line.status for line in run(bench, items_for(bench, 7))} == {"succeeded"}
    assert broken.alone == [f"c{number}" for number in range(7)]


def test_a_cancelled_job_stops_between_batches(bench: Bench) -> None:
    handler = Batching()
    use(bench, handler)
    hand = Hand(lease("0"), ScriptedLedger())  # type: ignore[arg-type]

    def answer(item: ItemInput) -> ItemOutput:
        hand.cancelled = hand.cancelled or item.name == "c2"
        return ItemOutput(BytesIn(bytes_in=0))

    handler._answer = answer
    lines = ShardRun(bench.runtime, hand, spec("describe")).run(items_for(bench, 12))
    assert [line.status for line in lines] == ["succeeded"] * 3 + ["cancelled"] * 9


# -- a described job, to its end --------------------------------------------------------------------
def described(bench: Bench, *names: str, **params: object) -> list[ResultLine]:
    """Runs and ends a job over these pictures, two items a shard."""
    use(bench, describer(ColourEngine()))
    items = []
    for index, name in enumerate(names):
        bench.store.put(f"owners/ann/{name}", PICTURES.get(name, swatch(*BROKEN)))
        items.append(Item(index=index, custom_id=name, input=f"owners/ann/{name}", sample=True))
    shards = [items[start : start + 2] for start in range(0, len(items), 2)]
    job = spec(steps=[Step(operation="describe", params=params)])
    bench.planned(job, *shards)
    for _ in shards:
        run_shard(bench.runtime, bench.begin())
    hand = bench.begin(CONTROL, "finalise")
    finalise_job(bench.runtime, hand)
    return bench.lines(KEYS.results)


def test_texts_stand_in_the_results(bench: Bench) -> None:
    lines = described(bench, "red.png", "blue.png", "green.png")
    assert [(line.receipt or {})["text"] for line in lines] == [
        "A red picture.",
        "A blue picture.",
        "A green picture.",
    ]
    assert not any(key.endswith(".npy") for key in bench.stored())
    report = bench.store.get(KEYS.report).decode()
    assert '<blockquote lang="en"><p>A red picture.</p>' in report
    assert "<li>red</li>" in report


def test_embeddings_are_gathered(bench: Bench) -> None:
    """A row an item; that of a failed one is zeros."""
    names = ("red.png", "broken.png", "green.png", "red.png", "blue.png")
    lines = described(bench, *names, embedding=True)
    assert [line.status for line in lines] == ["succeeded", "failed", *["succeeded"] * 3]
    matrix = read_matrix(bench.store.get(KEYS.gathered("embedding")))
    assert matrix.shape == (5, 3)
    assert np.argmax(matrix, axis=1).tolist() == [0, 0, 1, 0, 2]
    assert not matrix[1].any()
    for row, line in zip(matrix, lines, strict=True):
        expected = (line.receipt or {}).get("embedding", [0, 0, 0])
        assert np.allclose(row, expected, atol=1e-3)


def test_outputs_stand_beside(bench: Bench) -> None:
    lines = described(bench, "red.png", "blue.png", write="txt")
    assert [bench.store.get(line.output or "") for line in lines] == [
        b"A red picture.\n",
        b"A blue picture.\n",
    ]
    assert all((line.output or "").endswith(".txt") for line in lines)
