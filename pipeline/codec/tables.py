"""The tables that both ends of the codec share: gains and integer probabilities by quality and channel."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from pipeline.core.errors import ArtifactCorrupt

TOTAL = 2**16


@dataclass(frozen=True)
class ChannelTable:
    """Probabilities of one channel's symbols at one quality.

    Attributes:
        lowest: The symbol that the first entry stands for.
        mass: uint16 (n + 1,), sum 65536: n consecutive symbols, then the escape.
    """

    lowest: int
    mass: np.ndarray

    @property
    def escape(self) -> int:
        """Index of the escape entry."""
        return self.mass.size - 1


@dataclass(frozen=True)
class ProbabilityTables:
    """Everything that quality changes.

    Attributes:
        gain: float32 (Q, C), multiplies y before rounding.
        inverse_gain: float32 (Q, C), multiplies the symbols before g_s.
        lowest: int16 (Q, C), first symbol of each table.
        size: int16 (Q, C), entries of each table, the escape included.
        mass: uint16, all tables one after the other, quality by quality, channel by channel.
    """

    gain: np.ndarray
    inverse_gain: np.ndarray
    lowest: np.ndarray
    size: np.ndarray
    mass: np.ndarray

    @property
    def qualities(self) -> int:
        return int(self.gain.shape[0])

    @property
    def channels(self) -> int:
        return int(self.gain.shape[1])

    @cached_property
    def _ends(self) -> np.ndarray:
        return np.cumsum(self.size.astype(np.int64).ravel())

    def channel_tables(self, quality: int) -> list[ChannelTable]:
        """Tables of every channel at a quality from 1 to `qualities`."""
        level = quality - 1
        ends = self._ends[level * self.channels : (level + 1) * self.channels]
        starts = ends - self.size[level]
        return [
            ChannelTable(lowest=int(self.lowest[level, c]), mass=self.mass[starts[c] : ends[c]])
            for c in range(self.channels)
        ]

    def save(self, path: Path) -> None:
        np.savez_compressed(
            path,
            gain=self.gain,
            inverse_gain=self.inverse_gain,
            lowest=self.lowest,
            size=self.size,
            mass=self.mass,
        )

    @classmethod
    def load(cls, path: Path) -> ProbabilityTables:
        """Reads and checks the tables of an artifact.

        Raises:
            ArtifactCorrupt: They do not fit together.
        """
        with np.load(path, allow_pickle=False) as file:
            tables = cls(**{name: file[name] for name in ("gain", "inverse_gain", "lowest", "size", "mass")})
        sums = np.add.reduceat(tables.mass.astype(np.int64), tables._ends - tables.size.ravel())
        if tables._ends[-1] != tables.mass.size or (sums != TOTAL).any() or (tables.mass == 0).any():
            raise ArtifactCorrupt("the probability tables do not add up")
        return tables
