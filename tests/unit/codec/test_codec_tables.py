"""The tables of the artifact."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.codec.tables import TOTAL, ProbabilityTables
from pipeline.core.errors import ArtifactCorrupt
from tests.support.codec import artifact

TABLES = ProbabilityTables.load(artifact().path("tables"))


def test_every_quality_has_a_table_for_every_channel() -> None:
    """100 qualities; each table sums to 65536 and no entry is zero."""
    assert TABLES.qualities == 100
    for quality in (1, 37, 100):
        tables = TABLES.channel_tables(quality)
        assert len(tables) == TABLES.channels
        for table in tables:
            assert table.mass.sum(dtype=np.int64) == TOTAL
            assert table.mass.min() >= 1
            assert table.lowest <= 0


def test_quality_means_finer_steps() -> None:
    """The gain rises with quality in the mean over channels, at every step."""
    assert (np.diff(np.log(TABLES.gain).mean(axis=1)) > 0).all()


def test_saved_tables_are_read_back(tmp_path: Path) -> None:
    """Load after save is the identity."""
    TABLES.save(tmp_path / "tables.npz")
    again = ProbabilityTables.load(tmp_path / "tables.npz")
    assert all(
        np.array_equal(getattr(TABLES, n), getattr(again, n)) for n in ("gain", "lowest", "size", "mass")
    )


@pytest.mark.parametrize("damage", ["short", "zero", "sum"])
def test_tables_that_do_not_add_up_are_refused(tmp_path: Path, damage: str) -> None:
    """A damaged table never reaches the coder."""
    mass = TABLES.mass.copy()
    if damage == "short":
        mass = mass[:-1]
    elif damage == "zero":
        mass[1] += mass[0]
        mass[0] = 0
    else:
        mass[0] += 1
    replace(TABLES, mass=mass).save(tmp_path / "tables.npz")
    with pytest.raises(ArtifactCorrupt):
        ProbabilityTables.load(tmp_path / "tables.npz")
