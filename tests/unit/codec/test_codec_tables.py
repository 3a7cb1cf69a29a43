"""The tables of the artifact."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.codec.entropy_tables import EntropyTables
from pipeline.core.errors import ArtifactCorrupt
from tests.support.codec import artifact

TABLES = EntropyTables.load(artifact().path("tables"))


def test_every_level_and_channel_has_a_table() -> None:
    """64 levels for y; for z one table a channel at each of 100 qualities."""
    assert TABLES.qualities == 100
    assert TABLES.y.lowest.size == 64
    for quality in (1, 37, 100):
        assert TABLES.z(quality).lowest.size == TABLES.hyper_channels
        assert TABLES.rate(quality).gain.size == TABLES.channels


def test_levels_are_ever_wider() -> None:
    """Entropy of the tables of y rises from level to level, and none holds less than -1, 0 and 1."""
    ends = np.cumsum(TABLES.y_size)
    tables = np.split(TABLES.y_mass / 65536, ends[:-1])
    entropy = [-(table * np.log2(table)).sum() for table in tables]
    assert (np.diff(entropy) > 0).all()
    assert (TABLES.y_lowest <= -1).all()


def test_quality_means_finer_steps() -> None:
    """The gain rises with quality in the mean over channels, at every step."""
    assert (np.diff(np.log(TABLES.gain).mean(axis=1)) > 0).all()


def test_saved_tables_are_read_back(tmp_path: Path) -> None:
    """Load after save is the identity."""
    TABLES.save(tmp_path / "tables.npz")
    again = EntropyTables.load(tmp_path / "tables.npz")
    assert all(np.array_equal(value, getattr(again, name)) for name, value in vars(again).items())
    assert np.array_equal(again.y_mass, TABLES.y_mass)


@pytest.mark.parametrize("damage", ["short", "zero", "sum"])
def test_tables_that_do_not_add_up_are_refused(tmp_path: Path, damage: str) -> None:
    """A damaged table never reaches the coder."""
    mass = TABLES.y_mass.copy()
    if damage == "short":
        mass = mass[:-1]
    elif damage == "zero":
        mass[1] += mass[0]
        mass[0] = 0
    else:
        mass[0] += 1
    replace(TABLES, y_mass=mass).save(tmp_path / "tables.npz")
    with pytest.raises(ArtifactCorrupt):
        EntropyTables.load(tmp_path / "tables.npz")
