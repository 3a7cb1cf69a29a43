"""How a job is cut into shards, and which items are sampled, for any size of anything."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from workers.plan import MOST_SHARDS, sampled, shard_sizes

TOTALS = st.integers(1, 20_000)
PACES = st.floats(0, 1e4, allow_nan=False)
SLOTS = st.integers(0, 500)
TARGETS = st.floats(0.01, 100)
MOST = st.integers(1, 1_000)


@given(TOTALS, PACES, SLOTS, TARGETS, MOST)
def test_shards_hold_every_item_once(total: int, pace: float, slots: int, target: float, most: int) -> None:
    """Sizes add up to the items, none is empty, none is above `most`."""
    sizes = list(shard_sizes(total, seconds_per_item=pace, slots=slots, target_s=target, most=most))
    assert sum(sizes) == total
    assert all(1 <= size <= most for size in sizes)


@given(TOTALS, PACES, SLOTS, TARGETS, MOST)
def test_a_shard_is_no_more_work_than_asked(
    total: int, pace: float, slots: int, target: float, most: int
) -> None:
    """A shard takes `target_s` at most, by the pace it was cut for, but for the items it must have.

    That is one, and in a job of very many as many as keep their number within bounds.
    """
    sizes = shard_sizes(total, seconds_per_item=pace, slots=slots, target_s=target, most=most)
    must = math.ceil(total / MOST_SHARDS)
    assert all(size <= must or size * pace <= target * (1 + 1e-9) for size in sizes)


@given(TOTALS, PACES, st.integers(1, 500), TARGETS, MOST)
def test_a_small_job_reaches_the_whole_fleet(
    total: int, pace: float, slots: int, target: float, most: int
) -> None:
    """No shard is above an even share, so that no slot stands idle while another has two shares."""
    sizes = list(shard_sizes(total, seconds_per_item=pace, slots=slots, target_s=target, most=most))
    assert max(sizes) <= math.ceil(total / slots)
    if total <= slots:
        assert len(sizes) == total


@given(TOTALS, PACES, SLOTS, TARGETS, MOST)
def test_the_tail_is_fine(total: int, pace: float, slots: int, target: float, most: int) -> None:
    """Sizes never grow; in a large job what begins in the last fifth is a quarter of a shard at most."""
    sizes = list(shard_sizes(total, seconds_per_item=pace, slots=slots, target_s=target, most=most))
    assert sizes == sorted(sizes, reverse=True)
    if total > 8 * sizes[0]:
        begun = 0
        for size in sizes:
            if total - begun <= total // 5:
                assert size <= max(1, sizes[0] // 4)
            begun += size


@given(st.integers(1, 2_000_000))
def test_samples_are_few_spread_and_there(total: int) -> None:
    """All of 24, else one in a hundred but 24 to 48, evenly over the whole job, the first among them."""
    places = sorted(sampled(total))
    assert len(places) == (total if total < 24 else 24 if total < 2_500 else min(total // 100, 48))
    assert all(0 <= place < total for place in places)
    gaps = [after - before for before, after in zip(places, [*places[1:], total], strict=True)]
    assert places[0] == 0
    assert max(gaps) - min(gaps) <= 1
