"""Tiles of y to payloads and back: the hyperprior's graphs and the entropy coder between them.

y ── hyper_analysis ── z ── parameters ── scales, means ── first half ── context ── second half ── rANS

Both directions run `parameters` and `context` on the same integers, so that both see the same tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.codec.entropy_tables import EntropyTables
from pipeline.codec.halves import (
    Floats,
    Parameters,
    in_units_of_spread,
    indices_of_half,
    residuals_of_half,
    restore_half,
    tell,
)
from pipeline.codec.tile_coder import Halves, Symbols, TileDecoder, encode_tile
from pipeline.inference.session import Session

CELLS_OF_Z = 4  # cells of y that one of z covers, each way


@dataclass(frozen=True)
class TileNetworks:
    """The graphs that stand between y and the entropy coder. Tiles of one call have one shape."""

    hyper_analysis: Session
    parameters: Session
    context: Session
    tables: EntropyTables

    def encode(self, tiles: Sequence[Floats], quality: int) -> list[bytes]:
        """Payloads of tiles of y, each (M/4, 2 rows, 2 columns), cells inside the picture only."""
        return [encode_tile(self.tables, quality, z, halves) for z, halves in self.symbols(tiles, quality)]

    def symbols(self, tiles: Sequence[Floats], quality: int) -> list[tuple[Symbols, Halves]]:
        """What is coded of each tile: z, and the residuals with their table indices, half by half."""
        rows, columns = tiles[0].shape[1] // 2, tiles[0].shape[2] // 2
        levels, rate = _levels(quality, len(tiles)), self.tables.rate(quality)
        scaled = np.stack([in_units_of_spread(y, rate, CELLS_OF_Z) for y in tiles])
        (z,) = self.hyper_analysis.run({"y": scaled, "quality": levels})
        first, features = self._first(z, levels)
        early = [residuals_of_half(0, y, rate, p, p) for y, p in zip(tiles, first, strict=True)]
        told = [tell(r, rows, columns, p.mean.shape) for r, p in zip(early, first, strict=True)]
        second = self._second(told, features)
        found = []
        for y, z_of_tile, r, p, q in zip(tiles, z, early, first, second, strict=True):
            halves = (
                (r, indices_of_half(0, rows, columns, rate, p, p)),
                (residuals_of_half(1, y, rate, p, q), indices_of_half(1, rows, columns, rate, p, q)),
            )
            found.append((z_of_tile, halves))
        return found

    def decode(self, payloads: Sequence[bytes], rows: int, columns: int, quality: int) -> list[Floats]:
        """y_hat of each payload, (M/4, 2 rows, 2 columns).

        Raises:
            CorruptBitstream: A payload is no tile of this size and quality.
        """
        tables, rate = self.tables, self.tables.rate(quality)
        decoders = [TileDecoder(payload) for payload in payloads]
        shape = (tables.hyper_channels, -(-rows // CELLS_OF_Z), -(-columns // CELLS_OF_Z))
        z = np.stack([decoder.z(tables, quality, shape) for decoder in decoders])
        first, features = self._first(z, _levels(quality, len(payloads)))
        early = [
            decoder.half(tables, indices_of_half(0, rows, columns, rate, p, p))
            for decoder, p in zip(decoders, first, strict=True)
        ]
        told = [tell(r, rows, columns, p.mean.shape) for r, p in zip(early, first, strict=True)]
        second = self._second(told, features)
        results = []
        for decoder, r, p, q in zip(decoders, early, first, second, strict=True):
            late = decoder.half(tables, indices_of_half(1, rows, columns, rate, p, q))
            decoder.finish()
            y_hat = np.empty((tables.channels // 4, 2 * rows, 2 * columns), np.float32)
            restore_half(0, r, rate, p, p, y_hat)
            restore_half(1, late, rate, p, q, y_hat)
            results.append(y_hat)
        return results

    def _first(self, z: NDArray[np.int16], levels: NDArray[np.int64]) -> tuple[list[Parameters], Floats]:
        scale, mean, features = self.parameters.run({"z": z, "quality": levels})
        return [Parameters(*pair) for pair in zip(scale, mean, strict=True)], features

    def _second(self, told: list[Floats], features: Floats) -> list[Parameters]:
        scale, mean = self.context.run({"told": np.stack(told), "features": features})
        return [Parameters(*pair) for pair in zip(scale, mean, strict=True)]


def _levels(quality: int, count: int) -> NDArray[np.int64]:
    return np.full(count, quality - 1, np.int64)  # graphs count from 0
