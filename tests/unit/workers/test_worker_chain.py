"""Jobs of several steps: from hand to hand in memory, one output and one line an item."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.core.errors import Fault, InvalidInput, Transient
from pipeline.core.jobs import InlineManifestInput, Item, JobSpec, ResultLine, Step
from pipeline.core.keys import JobKeys
from pipeline.core.ledger import CONTROL
from pipeline.core.operation import Handler, ItemInput, ItemOutput, Operation
from tests.unit.workers.workbench import JOB, Bench, ByName, BytesIn, ScriptedLedger, lease, spec
from workers.finalise import finalise_job
from workers.handlers import Handlers
from workers.plan import plan_job
from workers.pulse import Hand
from workers.runner import ShardRun, run_shard

KEYS = JobKeys(JOB)
STEPS = [Step(operation="mark", params={"by": b}) for b in ("one", "two")]


class Making(Handlers):
    """Handlers made by the test instead of imported, one for each operation and set of artifacts."""

    def __init__(self, bench: Bench, handlers: dict[str, Any]) -> None:
        settings = bench.runtime.settings
        super().__init__(settings, bench.store, bench.runtime.registry)
        self._own = handlers
        self.asked: list[tuple[str, dict[str, str]]] = []

    def get(self, operation: Operation, digests: Any) -> Handler:
        self.asked.append((operation.name, dict(digests)))
        handler: Handler = self._own[operation.name]
        return handler


def use(bench: Bench, **handlers: Any) -> Making:
    made = Making(bench, handlers)
    object.__setattr__(bench.runtime, "handlers", made)
    return made


def marked(item: ItemInput) -> ItemOutput:
    """The bytes with the step's mark behind them."""
    by = item.params.model_dump()["by"].encode()
    previews = {"before": item.data, "after": by} if item.sample else {}
    return ItemOutput(BytesIn(bytes_in=len(item.data)), item.data + b"+" + by, previews=previews)


def chained(*steps: Step, **fields: Any) -> JobSpec:
    return spec(steps=[*steps], **fields)


def run(bench: Bench, job: JobSpec, *items: Item) -> list[ResultLine]:
    return ShardRun(bench.runtime, Hand(lease("0"), ScriptedLedger()), job).run(items)  # type: ignore[arg-type]


def test_each_step_takes_what_the_one_before_made(bench: Bench) -> None:
    """One output, the last step's; its receipt has the others' in it; the report sees first and last."""
    (key,) = bench.put_inputs("a.jpg")
    use(bench, mark=ByName(marked))
    (line,) = run(bench, chained(*STEPS), Item(index=0, custom_id="a", input=key, sample=True))
    assert line.status == "succeeded"
    assert bench.store.get(line.output or "") == b"a.jpg+one+two"
    assert line.receipt is not None
    assert line.receipt["steps"] == [{"bytes_in": 5}]
    assert (line.receipt["bytes_in"], line.receipt["bytes_out"]) == (5, 13)
    previews = [bench.store.get(KEYS.preview(0, role)) for role in ("before", "after")]
    assert previews == [b"a.jpg", b"two"]


def test_a_repeated_shard_adopts_the_last_steps_output(bench: Bench) -> None:
    (key,) = bench.put_inputs("a.jpg")
    handler = ByName(marked)
    use(bench, mark=handler)
    item = Item(index=0, custom_id="a", input=key)
    (line,) = run(bench, chained(*STEPS), item)
    again = Hand(lease("0", attempt=2), ScriptedLedger())  # type: ignore[arg-type]
    assert ShardRun(bench.runtime, again, chained(*STEPS)).run([item]) == [line]
    assert handler.ran == ["a", "a"]


def test_any_steps_error_is_the_items(bench: Bench) -> None:
    """And not its neighbours'; a step that gives nothing on is a fault."""

    def second_fails(item: ItemInput) -> ItemOutput:
        if item.data == b"b.jpg+one":
            raise InvalidInput("not this one")
        return marked(item)

    keys = bench.put_inputs("a.jpg", "b.jpg")
    use(bench, mark=ByName(second_fails))
    items = [Item(index=i, custom_id=key, input=key) for i, key in enumerate(keys)]
    good, bad = run(bench, chained(*STEPS), *items)
    assert good.status == "succeeded"
    assert (bad.status, (bad.error or {})["message"]) == ("failed", "step 1, mark: not this one")
    use(bench, mark=ByName(lambda item: ItemOutput(BytesIn(bytes_in=len(item.data)))))
    (line,) = run(bench, chained(*STEPS), items[0].model_copy(update={"index": 5}))
    assert (line.error or {})["code"] == Fault.code


def test_only_the_step_in_trouble_is_tried_again(bench: Bench) -> None:
    """What may pass is waited for without repeating the steps before it."""
    (key,) = bench.put_inputs("a.jpg")
    runs: list[bytes] = []

    def flaky(item: ItemInput) -> ItemOutput:
        runs.append(item.data)
        if runs.count(b"a.jpg+one") == 1 and item.data == b"a.jpg+one":
            raise Transient("not now")
        return marked(item)

    use(bench, mark=ByName(flaky))
    (line,) = run(bench, chained(*STEPS), Item(index=0, custom_id="a", input=key))
    assert line.status == "succeeded"
    assert runs == [b"a.jpg", b"a.jpg+one", b"a.jpg+one"]


def test_the_report_shows_the_last_picture_there_is(bench: Bench) -> None:
    """A step that makes words has no picture of its own to show."""
    (key,) = bench.put_inputs("a.jpg")

    def worded(item: ItemInput) -> ItemOutput:
        return ItemOutput(BytesIn(bytes_in=len(item.data)), previews={"before": item.data})

    use(bench, mark=ByName(marked), noop=ByName(worded))
    steps = (STEPS[0], Step(operation="noop"))
    run(bench, chained(*steps), Item(index=0, custom_id="a", input=key, sample=True))
    previews = [bench.store.get(KEYS.preview(0, role)) for role in ("before", "after")]
    assert previews == [b"a.jpg", b"one"]


def test_each_step_has_the_artifacts_that_it_needs(bench: Bench) -> None:
    """By its params, out of all that the job has pinned."""
    steps = [
        Step(operation="stylize", params={"styles": ["wave"], "model": "fast"}),
        Step(operation="compress"),
    ]
    made = use(bench, stylize=ByName(marked), compress=ByName(marked))
    pinned = {"stylization_fast": "a" * 64, "compression": "b" * 64}
    ShardRun(bench.runtime, Hand(lease("0"), ScriptedLedger()), chained(*steps, artifacts=pinned))  # type: ignore[arg-type]
    assert made.asked == [
        ("stylize", {"stylization_fast": "a" * 64}),
        ("compress", {"compression": "b" * 64}),
    ]


@pytest.mark.parametrize(
    ("own", "made"),
    [
        ([{"by": "x"}, {"by": "y"}], b"b.jpg+x+y"),
        ([{}, {"by": "y"}], b"b.jpg+one+y"),
        ([{"by": "x"}], b"b.jpg+x+two"),
        ([{}, {}, {}], None),
        ([{"no": 1}], None),
        ("x", None),
    ],
)
def test_from_plan_to_summary(bench: Bench, own: object, made: bytes | None) -> None:
    """An item may have params of its own, each in place of its own step's; wrong ones fail it alone."""
    keys = bench.put_inputs("a.jpg", "b.jpg")
    use(bench, mark=ByName(marked))
    items = [
        {"custom_id": "a", "input": keys[0]},
        {"custom_id": "b", "input": keys[1], "params": {"steps": own}},
    ]
    bench.enter(chained(*STEPS, inputs=InlineManifestInput.model_validate({"items": items})))
    plan_job(bench.runtime, bench.begin(CONTROL))
    plan = bench.plan()
    assert plan is not None
    for _ in range(plan.shards):
        run_shard(bench.runtime, bench.begin())
    finalise_job(bench.runtime, bench.begin(CONTROL, "finalise"))
    first, second = bench.lines(KEYS.results)
    assert bench.store.get(first.output or "") == b"a.jpg+one+two"
    if made is not None:
        assert bench.store.get(second.output or "") == made
    else:
        assert (second.error or {})["code"] == "invalid_params"
    assert "mark, mark" in bench.store.get(KEYS.report).decode()
