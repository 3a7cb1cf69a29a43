"""Bulk compression against a bare loop over the same codec."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.bulk import LEAST, bulk_against_bare
from tests.benchmarks.conftest import StartFleet
from tests.support.servers import RunningS3, RunningValkey

QUALITY = 50


@pytest.mark.timeout(3600)
def test_bulk_compress(
    start_fleet: StartFleet, own_s3: RunningS3, own_valkey: RunningValkey, tmp_path: Path
) -> None:
    """A job over 1,000 photos runs at 85 % or more of the rate of decode, networks and coder alone."""
    measured = bulk_against_bare(
        "compress",
        {"quality": QUALITY},
        ("tests.support.bare_compress", str(QUALITY)),
        start_fleet=start_fleet,
        servers=(own_s3, own_valkey),
        directory=tmp_path,
    )
    assert measured.ratio >= LEAST
