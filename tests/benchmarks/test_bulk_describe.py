"""Bulk describing: captions a second by the whole stack, and against a bare loop over the same model."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.bulk import bulk_against_bare
from tests.benchmarks.conftest import StartFleet
from tests.support.servers import RunningS3, RunningValkey

LEAST = 0.75  # a caption costs 25 ms: the rest of an item's way weighs more than elsewhere
CAPTIONS_A_SECOND = 40


@pytest.mark.timeout(3600)
def test_bulk_describe(
    start_fleet: StartFleet, own_s3: RunningS3, own_valkey: RunningValkey, tmp_path: Path
) -> None:
    """A job over 500 photos gives 40 captions a second on two cores, and 75 % of the bare loop's rate."""
    measured = bulk_against_bare(
        "describe",
        {"preset": "caption"},
        ("tests.support.bare_describe", "en"),
        start_fleet=start_fleet,
        servers=(own_s3, own_valkey),
        directory=tmp_path,
        photos=500,
    )
    assert measured.cpu_ratio >= LEAST
    assert max(measured.rates["job"]) >= CAPTIONS_A_SECOND
