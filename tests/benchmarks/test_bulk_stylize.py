"""Bulk stylizing against a bare loop over the same networks."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.bulk import LEAST, bulk_against_bare
from tests.benchmarks.conftest import StartFleet
from tests.support.servers import RunningS3, RunningValkey

STYLE = "wave"


@pytest.mark.timeout(3600)
def test_bulk_stylize(
    start_fleet: StartFleet, own_s3: RunningS3, own_valkey: RunningValkey, tmp_path: Path
) -> None:
    """A job over 500 photos runs at 85 % or more of the rate of decode, networks and JPEG alone."""
    measured = bulk_against_bare(
        "stylize",
        {"styles": [STYLE]},
        ("tests.support.bare_stylize", STYLE),
        start_fleet=start_fleet,
        servers=(own_s3, own_valkey),
        directory=tmp_path,
        photos=500,
    )
    assert measured.ratio >= LEAST
