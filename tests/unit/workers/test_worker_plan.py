"""Planning: any input becomes shards under the plan's own token, and the first plan.json decides."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.core.errors import StorageUnavailable
from pipeline.core.jobs import MAX_SAMPLES, Item, JobState, KeysInput, ManifestInput, Plan, PrefixInput
from pipeline.core.keys import JobKeys
from pipeline.core.ledger import CONTROL
from pipeline.core.memory import MemoryObjectStore
from tests.unit.workers.workbench import JOB, QUEUE, Bench, manifest_lines, spec
from workers.plan import MOST_SHARDS, plan_job, shard_sizes
from workers.runner import read_items


def keys_input(count: int) -> KeysInput:
    return KeysInput(keys=[f"owners/ann/{number}" for number in range(count)])


def plan(bench: Bench) -> None:
    """As the task does: begin, plan, finish."""
    hand = bench.begin(CONTROL, "plan")
    plan_job(bench.runtime, hand)
    bench.ledger.finish_control(hand.lease)


def test_every_item_is_in_one_shard_in_order(bench: Bench) -> None:
    """Shards one after the other are the job's items, and the ledger has as many shards waiting."""
    bench.enter(spec("sleep", keys_input(700)))  # 0.1 s an item: 30 a shard, 7 in the last fifth
    plan(bench)
    shards = bench.manifest()
    assert [item.index for shard in shards for item in shard] == list(range(700))
    assert [item.input for shard in shards for item in shard] == [f"owners/ann/{n}" for n in range(700)]
    assert {len(shards[0]), len(shards[-2])} == {30, 7}
    view = bench.view()
    assert (view.state, view.shards, view.waiting) == (JobState.RUNNING, len(shards), len(shards))
    assert view.counts.total == 700


def test_samples_are_marked(bench: Bench) -> None:
    """48 items, evenly over the job, carry the mark; an item's other fields are untouched by it."""
    bench.enter(spec("noop", keys_input(4_800)))
    plan(bench)
    marked = [item for shard in bench.manifest() for item in shard if item.sample]
    assert [item.index for item in marked] == [100 * place for place in range(MAX_SAMPLES)]
    assert marked[1] == Item(index=100, custom_id="owners/ann/100", input="owners/ann/100", sample=True)


def test_measured_pace_counts_more_than_the_hint(bench: Bench) -> None:
    """After a shard of this operation has run, shards are cut by the seconds that it took."""
    bench.ledger._note_pace("sleep", 1.5)
    bench.enter(spec("sleep", keys_input(100)))
    plan(bench)
    assert len(bench.manifest()[0]) == 2


@pytest.mark.parametrize(
    ("inputs", "code"),
    [
        (PrefixInput(prefix="owners/ann/empty/"), "invalid_manifest"),
        (ManifestInput(key="owners/ann/gone.jsonl"), "invalid_manifest"),
    ],
)
def test_a_job_without_a_usable_input_fails(bench: Bench, inputs: Any, code: str) -> None:
    """It is cancelled with the error's code and sentence, and then finalised."""
    bench.enter(spec(inputs=inputs))
    plan(bench)
    view = bench.view()
    assert (view.state, view.reason) == (JobState.CANCELLING, code)
    assert view.message
    assert bench.begin(CONTROL).lease.entry == "finalise"
    assert bench.plan() is None


def test_an_interactive_job_has_eight_items_at_most(bench: Bench) -> None:
    """Counted again when its inputs are read: they may have grown since the API looked."""
    bench.enter(spec("noop", keys_input(9), queue="work.interactive.cpu"))
    plan(bench)
    assert bench.view().reason == "invalid_manifest"


def test_the_first_plan_counts(bench: Bench) -> None:
    """A planner that was thought dead and comes back finds the other's plan, and uses it."""
    bench.enter(spec("noop", keys_input(10)))
    late = bench.begin(CONTROL, "plan")
    bench.clock.now += 60
    bench.ledger.sweep(CONTROL, 0)
    plan(bench)
    first = bench.plan()
    plan_job(bench.runtime, late)
    assert bench.plan() == first
    assert bench.view().plan_token == (first.token if first else "")


def test_a_plan_whose_put_was_answered_by_nobody_counts(bench: Bench) -> None:
    """The conditional put meets its own object when it is repeated: that is the plan."""

    class LosesAnAnswer(MemoryObjectStore):
        lost = False

        def put(self, key: str, data: bytes, **fields: Any) -> None:
            super().put(key, data, **fields)
            if key.endswith("plan.json") and not self.lost:
                self.lost = True
                raise StorageUnavailable("the answer was lost")

    bench.use(LosesAnAnswer())
    bench.enter(spec("noop", keys_input(10)))
    plan(bench)
    assert bench.view().state is JobState.RUNNING
    assert sum(map(len, bench.manifest())) == 10


def test_a_planner_that_died_after_its_plan_leaves_nothing_to_repeat(bench: Bench) -> None:
    """plan.json stands, the ledger was never told: the next planner tells it and reads no input."""
    bench.enter(spec("noop", PrefixInput(prefix="owners/ann/nothing/")))
    body = Plan(token="t", shards=3, items=9).model_dump_json().encode()
    bench.store.put(JobKeys(JOB).plan, body)
    plan(bench)
    assert (bench.view().shards, bench.view().waiting) == (3, 3)


def test_cancelled_while_planning(bench: Bench) -> None:
    """The planner stops, no plan.json is put, nothing waits, and the job is finalised."""
    bench.enter(spec("noop", keys_input(10)))
    hand = bench.begin(CONTROL, "plan")
    bench.ledger.cancel(JOB, "cancelled")
    hand.cancelled = True
    plan_job(bench.runtime, hand)
    bench.ledger.finish_control(hand.lease)
    assert bench.plan() is None
    assert bench.ledger.dispatch(QUEUE, 0) == []
    assert bench.begin(CONTROL).lease.entry == "finalise"


def test_cancelled_just_before_the_plan_was_put(bench: Bench) -> None:
    """A planner that hears of it too late puts its plan; no shard waits all the same."""
    bench.enter(spec("noop", keys_input(10)))
    hand = bench.begin(CONTROL, "plan")
    bench.ledger.cancel(JOB, "cancelled")
    plan_job(bench.runtime, hand)
    bench.ledger.finish_control(hand.lease)
    assert bench.plan() is not None
    assert bench.ledger.dispatch(QUEUE, 0) == []
    assert bench.begin(CONTROL).lease.entry == "finalise"


def test_an_outage_while_listing_begins_the_list_again(bench: Bench) -> None:
    """Half of a listing is thrown away: no item twice, none missing."""

    class BreaksOnce(MemoryObjectStore):
        broke = False

        def stream(self, key: str, *, chunk_bytes: int = 1 << 20) -> Any:
            for chunk in super().stream(key, chunk_bytes=200):
                yield chunk
                if not self.broke:
                    self.broke = True
                    raise StorageUnavailable("away")

    bench.use(BreaksOnce())
    lines = [{"custom_id": f"c{number}", "input": "owners/ann/x"} for number in range(50)]
    bench.store.put("owners/ann/manifest.jsonl", manifest_lines(*lines))
    bench.enter(spec("noop", ManifestInput(key="owners/ann/manifest.jsonl")))
    plan(bench)
    assert [item.custom_id for shard in bench.manifest() for item in shard] == [f"c{n}" for n in range(50)]


def test_items_that_cannot_run_are_planned_all_the_same(bench: Bench) -> None:
    """Their error travels in the manifest, sampled or not, and whoever runs the shard can read it."""
    good = {"custom_id": "good", "input": "owners/ann/x"}
    bench.store.put("owners/ann/manifest.jsonl", manifest_lines("{", good))
    bench.enter(spec("noop", ManifestInput(key="owners/ann/manifest.jsonl")))
    plan(bench)
    (shard,) = [read_items(bench.runtime, bench.begin().lease)]
    assert [item.error["code"] if item.error else None for item in shard] == ["invalid_manifest", None]
    assert all(item.sample for item in shard)


@pytest.mark.parametrize("seconds", [0.01, 2.0, 100.0])
def test_a_million_items_are_no_million_shards(seconds: float) -> None:
    """The ledger knows every shard; the last fifth is cut into quarters."""
    sizes = [*shard_sizes(1_000_000, seconds_per_item=seconds, slots=64, target_s=3, most=500)]
    assert sum(sizes) == 1_000_000
    assert len(sizes) <= 1.7 * MOST_SHARDS
