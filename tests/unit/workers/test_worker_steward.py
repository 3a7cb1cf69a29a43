"""The steward's reading of storage: winners from a listing, and what becomes of an active job."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.errors import StorageUnavailable
from pipeline.core.jobs import Counts, Decision, Item, JobState, Summary
from pipeline.core.keys import JobKeys, ResultName, parse_shard_results
from pipeline.core.ledger import CONTROL, Finish, LedgerJob
from pipeline.core.memory import MemoryObjectStore
from pipeline.core.storage import ObjectInfo
from tests.unit.workers.workbench import JOB, QUEUE, Bench, result_name, spec
from workers.runner import run_shard
from workers.steward import ORPHAN_S, choose_winners, reconcile_job

SHARDS, ITEMS_A_SHARD = 3, 4


@st.composite
def listings(draw: st.DrawFn) -> list[tuple[str, str]]:
    """Results as runs may leave them: several a shard, each with its own suspects, suspects' own too."""
    keys = JobKeys(JOB)
    found = set()
    for shard in range(SHARDS):
        indices = range(shard * ITEMS_A_SHARD, (shard + 1) * ITEMS_A_SHARD)
        for token in draw(st.sets(st.sampled_from("abcdef"), max_size=3)):
            held = tuple(sorted(draw(st.sets(st.sampled_from(list(indices)), max_size=2))))
            name = ResultName(token, ITEMS_A_SHARD - len(held), 0, 0, held)
            found.add(keys.shard_results(str(shard), str(name)))
        for item in draw(st.sets(st.sampled_from(list(indices)), max_size=3)):
            for token in draw(st.sets(st.sampled_from("abcdef"), min_size=1, max_size=2)):
                found.add(keys.shard_results(f"{shard}.{item}", str(ResultName(token, 1, 0, 0))))
    return [parse_shard_results(key) for key in sorted(found)]


@given(listings())
def test_no_item_is_counted_twice(listed: list[tuple[str, str]]) -> None:
    """Whatever runs have left there, an item has one winner at most."""
    winners = choose_winners(listed)
    assert set(winners.items()) <= set(listed)
    covered: Counter[int] = Counter()
    for entry, text in winners.items():
        shard, _, item = entry.partition(".")
        if item:
            covered[int(item)] += 1
        else:
            indices = range(int(shard) * ITEMS_A_SHARD, (int(shard) + 1) * ITEMS_A_SHARD)
            covered.update(index for index in indices if index not in ResultName.parse(text).held)
    assert all(count == 1 for count in covered.values())


@given(listings())
def test_the_first_in_list_order_wins(listed: list[tuple[str, str]]) -> None:
    """Every reading of one listing names the same winners: the earliest token of each shard."""
    winners = choose_winners(listed)
    for shard in map(str, range(SHARDS)):
        results = [text for entry, text in listed if entry == shard]
        assert winners.get(shard) == (min(results) if results else None)


def test_a_suspects_results_count_only_beside_a_shard_that_left_it_out() -> None:
    """Its shard may have run it after all, or may not have finished."""
    alone = ("0.1", result_name("c", 1))
    assert choose_winners([alone]) == {}
    assert choose_winners([("0", result_name("a", 4)), alone]) == {"0": result_name("a", 4)}
    left_out = ("0", result_name("b", 3, held=(1,)))
    assert choose_winners([left_out, alone]) == dict([left_out, alone])


# -- reconciling a job ------------------------------------------------------------------------------
def reconcile(bench: Bench, age_s: float = 0.0) -> None:
    marks = {info.key: info.last_modified for info in bench.store.list("active/")}
    reconcile_job(bench.runtime, JOB, marks[JobKeys(JOB).active] - age_s)


def four_items(bench: Bench) -> list[Item]:
    keys = bench.put_inputs(*"abcd")
    return [Item(index=n, custom_id=key, input=key) for n, key in enumerate(keys)]


def test_a_submission_that_stopped_after_storing_is_planned(bench: Bench) -> None:
    """The API died between storage and ledger: the plan waits, once, however often the steward looks."""
    bench.enter(spec())
    bench.empty_ledger()
    reconcile(bench)
    reconcile(bench)
    assert [one.entry for one in bench.ledger.dispatch(CONTROL, 0)] == ["plan"]
    assert bench.view().state is JobState.ACCEPTED


def test_an_emptied_ledger_comes_back_as_it_was(bench: Bench) -> None:
    """What finished is finished, what ran or waited waits; every item is done once."""
    items = four_items(bench)
    bench.planned(spec(), items[:2], items[2:3], items[3:])
    assert run_shard(bench.runtime, bench.begin(entry="0")) is Finish.WON
    bench.empty_ledger()
    reconcile(bench)
    view = bench.view()
    assert (view.state, view.shards, view.finished, view.waiting) == (JobState.RUNNING, 3, 1, 2)
    assert view.counts == Counts(total=4, succeeded=2)
    for _ in range(2):
        assert run_shard(bench.runtime, bench.begin()) is Finish.WON
    assert bench.view().counts == Counts(total=4, succeeded=4)
    assert [one.entry for one in bench.ledger.dispatch(CONTROL, 0)] == ["finalise"]


def test_suspects_that_a_winner_left_out_wait_again(bench: Bench) -> None:
    """The name of the shard's results is all that remembers them."""
    bench.planned(spec(), four_items(bench))
    bench.begin().native(2)
    bench.clock.now += 60
    bench.ledger.sweep(QUEUE, 0)
    assert run_shard(bench.runtime, bench.begin(entry="0")) is Finish.WON
    bench.empty_ledger()
    reconcile(bench)
    assert bench.view().counts == Counts(total=4, succeeded=3)
    alone = bench.begin()
    assert alone.lease.entry == "0.2"
    assert run_shard(bench.runtime, alone) is Finish.WON
    assert bench.view().counts == Counts(total=4, succeeded=4)


def test_what_was_decided_holds_in_a_new_ledger(bench: Bench) -> None:
    """Cancelled, paused, priority: from storage, as they stood when the API answered."""
    bench.planned(spec(), four_items(bench))
    decided = Decision(paused=True, priority=7, expires_at=9e9)
    bench.store.put(JobKeys(JOB).decision, decided.model_dump_json().encode())
    bench.empty_ledger()
    reconcile(bench)
    view = bench.view()
    assert (view.paused, view.priority, view.expires_at) == (True, 7, 9e9)
    assert bench.ledger.dispatch(QUEUE, 0) == []
    bench.store.put(JobKeys(JOB).decision, Decision(cancelled=True).model_dump_json().encode())
    reconcile(bench)
    assert (bench.view().state, bench.view().reason) == (JobState.CANCELLING, "cancelled")
    assert [one.entry for one in bench.ledger.dispatch(CONTROL, 0)] == ["finalise"]


def test_an_ended_job_is_closed(bench: Bench) -> None:
    """The finaliser died after its last put: the mark goes, nothing runs again."""
    bench.enter(spec())
    counts = Counts(total=1, succeeded=1)
    summary = Summary(
        state=JobState.COMPLETED, counts=counts, created_at=1, started_at=2, finished_at=3, shards=1
    )
    bench.store.put(JobKeys(JOB).summary, summary.model_dump_json().encode())
    reconcile(bench)
    assert bench.stored("active/") == []
    assert (bench.view().state, bench.view().counts) == (JobState.COMPLETED, counts)
    assert bench.ledger.dispatch(CONTROL, 0) == []


def test_a_deleted_job_is_erased_and_forgotten(bench: Bench) -> None:
    """Nothing of it is left under its prefix, in the list of active jobs or in the ledger."""
    items = four_items(bench)
    bench.planned(spec(), items)
    run_shard(bench.runtime, bench.begin())
    bench.store.put(JobKeys(JOB).decision, Decision(deleted=True).model_dump_json().encode())
    reconcile(bench)
    assert bench.stored() == [item.input for item in items]
    assert bench.ledger.job(JOB) is None


@pytest.mark.parametrize(("age_s", "stays"), [(0.0, True), (ORPHAN_S + 1, False)])
def test_a_mark_without_a_job_goes_when_it_is_old(bench: Bench, age_s: float, stays: bool) -> None:
    """Young, it is a submission under way; old, it is one that never got further."""
    bench.store.put(JobKeys(JOB).active, b"")
    reconcile(bench, age_s)
    assert (bench.stored("active/") != []) is stays
    assert bench.ledger.job(JOB) is None


def test_a_live_ledger_is_not_disturbed(bench: Bench) -> None:
    """Reconciling a job that runs changes nothing that the ledger knows better."""
    items = four_items(bench)
    bench.planned(spec(), items[:2], items[2:])
    in_hand = bench.begin()
    before = bench.view()
    reconcile(bench)
    assert bench.view() == before
    assert run_shard(bench.runtime, in_hand) is Finish.WON
    told = LedgerJob(JOB, "ann", QUEUE, "copy", 900.0)
    assert not bench.ledger.enter(told)


def items(bench: Bench, count: int) -> list[Item]:
    keys = bench.put_inputs(*(f"{number}.jpg" for number in range(count)))
    return [Item(index=number, custom_id=f"c{number}", input=key) for number, key in enumerate(keys)]


def test_what_is_decided_while_results_are_listed_holds(bench: Bench) -> None:
    """A cancellation in that time meets a ledger that does not know the job: it is caught up with."""
    job = bench.planned(spec(), items(bench, 2), items(bench, 2))
    bench.empty_ledger()

    class Cancelling(MemoryObjectStore):
        def list(self, prefix: str) -> Iterator[ObjectInfo]:
            if prefix == JobKeys(job.id).shard_results_prefix:
                self.put(
                    JobKeys(job.id).decision, Decision(cancelled=True, priority=7).model_dump_json().encode()
                )
            return super().list(prefix)

    bench.use(Cancelling())
    reconcile_job(bench.runtime, job.id, 0.0)
    assert bench.view().reason == "cancelled"


def test_a_large_deleted_job_is_erased_bit_by_bit(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The steward has other things to do; an object that stays does not stop it."""
    monkeypatch.setattr("workers.erase.MOST", 2)
    job = bench.planned(spec(), items(bench, 2), items(bench, 2))
    bench.store.put(JobKeys(job.id).decision, Decision(deleted=True).model_dump_json().encode())
    rounds = 0
    while bench.stored("active/"):
        reconcile_job(bench.runtime, job.id, 0.0)
        rounds += 1
    assert rounds > 1
    assert not bench.stored(f"jobs/{job.id}/")

    class Stubborn(MemoryObjectStore):
        def delete(self, keys: Iterable[str]) -> None:
            raise StorageUnavailable("not this one")

    bench.planned(spec(), items(bench, 2))
    bench.store.put(JobKeys(job.id).decision, Decision(deleted=True).model_dump_json().encode())
    bench.use(Stubborn())
    reconcile_job(bench.runtime, job.id, 0.0)
