"""How jobs end: finalised from the winners, buried, erased."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from pipeline.core.errors import BrokerUnavailable, InvalidInput
from pipeline.core.jobs import Counts, Decision, Item, JobState, Summary
from pipeline.core.keys import JobKeys, index_key
from pipeline.core.ledger import CONTROL, MAX_ATTEMPTS, Finish
from pipeline.core.operation import ItemInput, ItemOutput
from tests.unit.workers.workbench import JOB, QUEUE, Bench, BytesIn, spec
from workers.bury import bury_entry
from workers.erase import erase_job
from workers.finalise import finalise_job
from workers.outputs import Outputs
from workers.plan import plan_job
from workers.pulse import Hand
from workers.runner import run_shard

KEYS = JobKeys(JOB)


@pytest.fixture(autouse=True)
def no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """The page has tests of its own."""
    monkeypatch.setattr("workers.finalise.render_report", lambda summary, spec, rows, terms: f"{list(rows)}")


def items(bench: Bench, count: int) -> list[Item]:
    keys = bench.put_inputs(*(f"{number}.jpg" for number in range(count)))
    return [Item(index=number, custom_id=f"c{number}", input=key) for number, key in enumerate(keys)]


def finalise(bench: Bench) -> Summary:
    hand = bench.begin(CONTROL, "finalise")
    finalise_job(bench.runtime, hand)
    bench.ledger.finish_control(hand.lease)
    summary = bench.summary()
    assert summary is not None
    return summary


def bad_second(item: ItemInput) -> ItemOutput:
    if item.name == "c1":
        raise InvalidInput("bad")
    return ItemOutput(BytesIn(bytes_in=0), b"0123")


# -- finalise ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("lost", ["1", "0.1"])
def test_a_ledger_that_went_back_ends_no_job(bench: Bench, lost: str) -> None:
    """A result that the server lost after "finalise" was sent is waited for, never reported as cancelled."""
    every = items(bench, 4)
    bench.planned(spec(), every[:2], every[2:])
    bench.begin(entry="0").native(1)
    bench.clock.now += 60
    bench.ledger.sweep(QUEUE, 0)
    for _ in range(3):
        run_shard(bench.runtime, bench.begin())
    hand = bench.begin(CONTROL, "finalise")
    kept = bench.ledger._jobs[JOB].finished.pop(lost)
    with pytest.raises(BrokerUnavailable):
        finalise_job(bench.runtime, hand)
    bench.ledger._jobs[JOB].finished[lost] = kept
    bench.ledger.restarted()
    with pytest.raises(BrokerUnavailable):
        finalise_job(bench.runtime, hand)
    assert bench.summary() is None
    bench.ledger.confirm()
    finalise_job(bench.runtime, hand)
    summary = bench.summary()
    assert summary is not None
    assert summary.counts == Counts(total=4, succeeded=4)


def test_a_completed_job(bench: Bench) -> None:
    """Lines in input order, failed ones once more, counts and bytes; the mark gone, the ledger told."""
    bench.handler._run = bad_second
    every = items(bench, 5)
    bench.planned(spec(), every[:2], every[2:4], every[4:])
    for entry in ("1", "2", "0"):
        bench.clock.now += 3
        run_shard(bench.runtime, bench.begin(entry=entry))
    summary = finalise(bench)
    assert summary.state is JobState.COMPLETED
    assert summary.counts == Counts(total=5, succeeded=4, failed=1)
    assert (summary.bytes_in, summary.bytes_out) == (4 * 5, 4 * 4)
    assert summary.error is None
    assert sorted(summary.winners) == ["0", "1", "2"]
    assert [line.index for line in bench.lines(KEYS.results)] == list(range(5))
    assert [line.index for line in bench.lines(KEYS.errors)] == [1]
    assert bench.stored("active/") == []
    assert (bench.view().state, bench.view().counts) == (summary.state, summary.counts)


def test_counts_come_from_the_lines(bench: Bench) -> None:
    """A ledger that counted otherwise is not believed."""
    every = items(bench, 2)
    bench.planned(spec(), every)
    run_shard(bench.runtime, bench.begin())
    bench.ledger._jobs[JOB].counts = Counts(total=2, succeeded=77)
    assert finalise(bench).counts == Counts(total=2, succeeded=2)


def test_cancelled_before_it_was_planned(bench: Bench) -> None:
    """No plan, no items: an empty job that ended."""
    bench.enter(spec())
    bench.ledger.cancel(JOB, "cancelled")
    summary = finalise(bench)
    assert (summary.state, summary.counts, summary.shards) == (JobState.CANCELLED, Counts(), 0)
    assert bench.store.get(KEYS.results) == b""
    assert bench.ledger.dispatch(QUEUE, 0) == []


def test_cancelled_in_the_middle(bench: Bench) -> None:
    """What ran has its results; every other item has one line, `cancelled`, in its place."""
    every = items(bench, 4)
    bench.planned(spec(), every[:2], every[2:])
    run_shard(bench.runtime, bench.begin(entry="1"))
    bench.ledger.cancel(JOB, "cancelled")
    summary = finalise(bench)
    assert (summary.state, summary.error) == (JobState.CANCELLED, None)
    assert summary.counts == Counts(total=4, succeeded=2, cancelled=2)
    lines = bench.lines(KEYS.results)
    assert [line.status for line in lines] == ["cancelled"] * 2 + ["succeeded"] * 2
    assert [line.custom_id for line in lines] == ["c0", "c1", "c2", "c3"]
    assert bench.store.get(KEYS.errors) == b""


@pytest.mark.parametrize(
    ("reason", "state", "error"),
    [
        ("expired", JobState.EXPIRED, None),
        ("undeliverable", JobState.FAILED, {"code": "undeliverable", "message": "said"}),
        ("invalid_manifest", JobState.FAILED, {"code": "invalid_manifest", "message": "said"}),
    ],
)
def test_the_reason_decides_how_it_ended(
    bench: Bench, reason: str, state: JobState, error: dict[str, str] | None
) -> None:
    """An error's code fails the job, and stands in the line of every item that never ran."""
    bench.planned(spec(), items(bench, 2))
    bench.ledger.cancel(JOB, reason, "said")
    summary = finalise(bench)
    assert (summary.state, summary.error) == (state, error)
    assert [line.error for line in bench.lines(KEYS.results)] == [error, error]
    assert [line.status for line in bench.lines(KEYS.results)] == ["cancelled"] * 2


def test_a_second_finaliser_finds_the_summary(bench: Bench) -> None:
    """It writes nothing and says the same; so does one that was thought dead and comes back."""
    bench.planned(spec(), items(bench, 2))
    run_shard(bench.runtime, bench.begin())
    late = bench.begin(CONTROL, "finalise")
    bench.clock.now += 60
    bench.ledger.sweep(CONTROL, 0)
    summary = finalise(bench)
    before = {key: bench.store.stat(key).etag for key in bench.stored("jobs/")}
    finalise_job(bench.runtime, late)
    assert {key: bench.store.stat(key).etag for key in bench.stored("jobs/")} == before
    assert bench.summary() == summary


def test_a_finaliser_that_died_before_telling_anybody_is_finished_by_the_next(bench: Bench) -> None:
    """summary.json stands, the mark too: the next one closes the job without reading its results."""
    bench.planned(spec(), items(bench, 1))
    run_shard(bench.runtime, bench.begin())
    counts = Counts(total=1, succeeded=1)
    put = Summary(state=JobState.COMPLETED, counts=counts, created_at=1, started_at=1, finished_at=1)
    bench.store.put(KEYS.summary, put.model_dump_json().encode())
    assert finalise(bench) == put
    assert bench.stored("active/") == []
    assert KEYS.results not in bench.stored()


def test_previews_of_sampled_items_reach_the_report(bench: Bench) -> None:
    """Each sampled line with its pictures by role."""
    bench.planned(spec(), items(bench, 1))
    run_shard(bench.runtime, bench.begin())
    bench.store.put(KEYS.preview(0, "before"), b"B")
    bench.store.put(KEYS.preview(0, "after"), b"A")
    finalise(bench)
    page = bench.store.get(KEYS.report).decode()
    assert "'before': b'B'" in page
    assert "'after': b'A'" in page


def test_a_broken_report_keeps_no_job_from_ending(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The results count; the page is a picture book."""

    def breaks(*_: object) -> str:
        raise ValueError("no page today")

    monkeypatch.setattr("workers.finalise.render_report", breaks)
    bench.planned(spec(), items(bench, 1))
    run_shard(bench.runtime, bench.begin())
    assert finalise(bench).state is JobState.COMPLETED


def test_a_large_job_is_read_ahead_in_order(bench: Bench) -> None:
    """More shards than are read at once."""
    every = items(bench, 60)
    bench.planned(spec(), *([item] for item in every))
    for _ in every:
        bench.clock.now += 3
        run_shard(bench.runtime, bench.begin())
    assert finalise(bench).counts == Counts(total=60, succeeded=60)
    assert [line.index for line in bench.lines(KEYS.results)] == list(range(60))


# -- bury -------------------------------------------------------------------------------------------
def wear_out(bench: Bench, entry: str) -> Hand:
    """Workers are lost over an entry until it is given up; the hand of the last of them."""
    for _ in range(MAX_ATTEMPTS):
        last = bench.begin(entry=entry)
        bench.clock.now += 1_000
        bench.ledger.sweep(QUEUE, 0)
    return last


def test_burying_a_shard_keeps_what_was_done(bench: Bench) -> None:
    """Outputs that earlier attempts left are adopted; the rest fails with `worker_lost`; the job goes on."""
    every = items(bench, 4)
    broken = Item(index=3, custom_id="c3", input=None, error={"code": "input_missing", "message": "m"})
    bench.planned(spec(), [*every[:3], broken])
    outputs = Outputs(bench.store, spec(), bench.runtime.registry.get("copy"))
    outputs.put(every[0], ItemOutput(BytesIn(bytes_in=0), b"done"), bytes_in=1, fetch_s=0)
    wear_out(bench, "0")
    hand = bench.begin(CONTROL, "bury.0")
    bury_entry(bench.runtime, hand)
    bench.ledger.finish_control(hand.lease)
    summary = finalise(bench)
    assert summary.state is JobState.COMPLETED
    assert summary.counts == Counts(total=4, succeeded=1, failed=3)
    codes = [line.error["code"] if line.error else line.status for line in bench.lines(KEYS.results)]
    assert codes == ["succeeded", "worker_lost", "worker_lost", "input_missing"]


def test_burying_a_suspect_fails_that_item_only(bench: Bench) -> None:
    """The item that kills workers ends as `worker_lost`, its neighbours succeed."""
    bench.planned(spec("crash"), items(bench, 3))
    bench.begin(entry="0").native(1)
    bench.clock.now += 60
    bench.ledger.sweep(QUEUE, 0)
    assert run_shard(bench.runtime, bench.begin(entry="0")) is Finish.WON
    while not bench.ledger.backlog()[CONTROL][0]:
        bench.begin(entry="0.1").native(1)
        bench.clock.now += 1_000
        bench.ledger.sweep(QUEUE, 0)
    hand = bench.begin(CONTROL, "bury.0.1")
    bury_entry(bench.runtime, hand)
    bench.ledger.finish_control(hand.lease)
    assert finalise(bench).counts == Counts(total=3, succeeded=2, failed=1)
    assert [line.index for line in bench.lines(KEYS.errors)] == [1]


def test_a_late_worker_beats_the_burial(bench: Bench) -> None:
    """The first to finish counts, whatever the burial wrote."""
    bench.planned(spec(), items(bench, 2))
    last = wear_out(bench, "0")
    hand = bench.begin(CONTROL, "bury.0")
    assert run_shard(bench.runtime, last) is Finish.WON
    bury_entry(bench.runtime, hand)
    bench.ledger.finish_control(hand.lease)
    assert finalise(bench).counts == Counts(total=2, succeeded=2)


# -- erase ------------------------------------------------------------------------------------------
def ended_and_deleted(bench: Bench, **fields: str) -> list[str]:
    """A job that has ended and is to be deleted; what is the owner's own."""
    every = items(bench, 2)
    job = bench.planned(spec(**fields), every)
    bench.store.put(index_key(job.owner, job.created_at, job.id), b"")
    run_shard(bench.runtime, bench.begin())
    finalise(bench)
    bench.store.put(KEYS.decision, Decision(deleted=True).model_dump_json().encode())
    bench.store.put(KEYS.active, b"")
    return [item.input for item in every if item.input]


def test_all_of_a_job_goes_and_nothing_else(bench: Bench) -> None:
    """Its prefix, its mark, its place in the owner's list; inputs stay."""
    inputs = ended_and_deleted(bench)
    neighbour = JobKeys("job_" + "0" * 31 + "1").spec
    bench.store.put(neighbour, b"")
    erase_job(bench.store, JOB)
    assert bench.stored() == [neighbour, *inputs]
    erase_job(bench.store, JOB)


def test_outputs_under_the_owners_prefix_stay(bench: Bench) -> None:
    """They are the owner's files now."""
    ended_and_deleted(bench, output_prefix="owners/ann/out/")
    erase_job(bench.store, JOB)
    assert [key for key in bench.stored() if "/out/" in key] == [
        "owners/ann/out/c0.bin",
        "owners/ann/out/c1.bin",
    ]


def test_an_erasure_cut_short_is_remembered(bench: Bench) -> None:
    """Wherever it stops: no spec without the decision beside it, nothing left without the mark."""
    ended_and_deleted(bench)
    delete = bench.store.delete

    def one_by_one(keys: Iterable[str]) -> None:
        for key in keys:
            delete([key])
            left = bench.stored()
            assert KEYS.spec not in left or KEYS.decision in left
            assert KEYS.active in left or not any(each.startswith(KEYS.prefix) for each in left)

    bench.store.delete = one_by_one  # type: ignore[method-assign]
    erase_job(bench.store, JOB)
    assert bench.stored("jobs/") == []


def test_a_job_that_is_deleted_as_it_ends_keeps_its_mark(bench: Bench) -> None:
    """Where the steward looks for jobs to erase."""
    job = bench.planned(spec(), items(bench, 1))
    run_shard(bench.runtime, bench.begin())
    bench.store.put(JobKeys(job.id).decision, Decision(deleted=True).model_dump_json().encode())
    finalise_job(bench.runtime, bench.begin(CONTROL, "finalise"))
    assert bench.stored("active/") == [JobKeys(job.id).active]


def test_a_job_of_an_operation_that_is_gone_ends(bench: Bench) -> None:
    """It failed for that; nothing of it is gathered."""
    bench.enter(spec("gone"))
    hand = bench.begin(CONTROL)
    plan_job(bench.runtime, hand)
    bench.ledger.finish_control(hand.lease)
    finalise_job(bench.runtime, bench.begin(CONTROL, "finalise"))
    summary = bench.summary()
    assert summary is not None
    assert (summary.state, (summary.error or {})["code"]) == (JobState.FAILED, "unknown_operation")
