"""What an artifact's tables.npz holds: integer probabilities, and what quality changes in each channel."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np

from pipeline.codec.halves import Rate
from pipeline.codec.rans import MassTables
from pipeline.core.errors import ArtifactCorrupt


@dataclass(frozen=True, eq=False)
class EntropyTables:
    """All tables; see `MassTables` for what masses are, `Rate` for the rest.

    Attributes:
        y_lowest: int16 (64,), first symbol of each level's table.
        y_size: uint16 (64,), entries, the escape included.
        y_mass: uint16, table after table.
        z_lowest: int16 (Q, Z), of each quality's tables, one a channel.
        z_size: uint16 (Q, Z).
        z_mass: uint16, quality by quality, channel by channel.
        gain: float32 (Q, M).
        inverse_gain: float32 (Q, M).
        unit: float32 (Q, M).
        spread: int32 (Q, M).
    """

    y_lowest: np.ndarray
    y_size: np.ndarray
    y_mass: np.ndarray
    z_lowest: np.ndarray
    z_size: np.ndarray
    z_mass: np.ndarray
    gain: np.ndarray
    inverse_gain: np.ndarray
    unit: np.ndarray
    spread: np.ndarray

    @property
    def qualities(self) -> int:
        return int(self.z_size.shape[0])

    @property
    def channels(self) -> int:
        """Channels of y."""
        return int(self.gain.shape[1])

    @property
    def hyper_channels(self) -> int:
        """Channels of z."""
        return int(self.z_size.shape[1])

    @cached_property
    def y(self) -> MassTables:
        """Tables of residuals, by level."""
        return MassTables.from_masses(self.y_lowest, self.y_size, self.y_mass)

    def z(self, quality: int) -> MassTables:
        """Tables of z at a quality from 1, by channel."""
        return _z_tables(self, quality)

    def rate(self, quality: int) -> Rate:
        """Gains, means' unit and usual scales at a quality from 1."""
        row = quality - 1
        return Rate(self.gain[row], self.inverse_gain[row], self.unit[row], self.spread[row])

    def save(self, path: Path) -> None:
        np.savez_compressed(path, **{field.name: getattr(self, field.name) for field in fields(self)})

    @classmethod
    def load(cls, path: Path) -> EntropyTables:
        """Reads and checks the tables of an artifact.

        Raises:
            ArtifactCorrupt: They do not fit together.
        """
        with np.load(path, allow_pickle=False) as file:
            tables = cls(**{field.name: file[field.name] for field in fields(cls)})
        try:
            MassTables.from_masses(tables.z_lowest.ravel(), tables.z_size.ravel(), tables.z_mass)
            MassTables.from_masses(tables.y_lowest, tables.y_size, tables.y_mass)
        except ValueError as error:
            raise ArtifactCorrupt(str(error)) from error
        return tables


@lru_cache(maxsize=32)
def _z_tables(tables: EntropyTables, quality: int) -> MassTables:
    ends = np.cumsum(tables.z_size.sum(axis=1, dtype=np.int64))
    end = int(ends[quality - 1])
    start = end - int(tables.z_size[quality - 1].sum(dtype=np.int64))
    return MassTables.from_masses(
        tables.z_lowest[quality - 1], tables.z_size[quality - 1], tables.z_mass[start:end]
    )
