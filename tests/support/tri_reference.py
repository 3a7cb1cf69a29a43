"""A decoder of `.tri` files up to their symbols, in plain Python, written from docs/format.md.

It shares no code with the codec. The two exact graphs are run without any optimisation.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime

from tests.support.rans_reference import Stream

_LARGEST_TOLD = 31


@dataclass(frozen=True)
class Symbols:
    """What one tile holds, in the order of coding."""

    z: list[int]
    first: list[int]
    second: list[int]


class ReferenceDecoder:
    """Reads files of one artifact."""

    def __init__(self, directory: Path) -> None:
        with np.load(directory / "tables.npz") as tables:
            self._tables = {name: tables[name] for name in tables.files}
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        self._parameters, self._context = (
            onnxruntime.InferenceSession(str(directory / f"{role}.onnx"), options)
            for role in ("parameters", "context")
        )

    def tiles(self, data: bytes) -> Iterator[Symbols]:
        """The symbols of every tile of a file."""
        magic, version, quality, flags, width, height, _ = struct.unpack_from("<4sBBHII16s", data)
        assert (magic, version) == (b"\x89TRI", 1)
        extras = [struct.unpack_from("<II", data, 32 + 8 * i)[0] for i in range((flags & 30).bit_count())]
        index = 32 + 8 * len(extras)
        boxes = [(top, left) for top in range(0, height, 1024) for left in range(0, width, 1024)]
        sizes = struct.unpack_from(f"<{len(boxes)}I", data, index)
        end = index + 4 * len(boxes)
        assert struct.unpack_from("<I", data, end)[0] == zlib.crc32(data[:end])
        place = end + 4 + sum(extras)
        for (top, left), size in zip(boxes, sizes, strict=True):
            rows, columns = -(-min(1024, height - top) // 16), -(-min(1024, width - left) // 16)
            yield self._tile(data[place : place + size], rows, columns, quality)
            place += size
        assert place == len(data)

    def _tile(self, payload: bytes, rows: int, columns: int, quality: int) -> Symbols:
        escapes, start = _read_escapes(payload)
        words = struct.unpack_from(f"<{(len(payload) - start) // 2}H", payload, start)
        stream, rest = Stream(words), iter(escapes)

        def take(indices: Sequence[int], masses: list[list[int]], lowest: list[int]) -> list[int]:
            found = stream.segment(indices, masses, lowest)
            return [next(rest) if symbol is None else symbol for symbol in found]

        shape = (self._tables["z_size"].shape[1], -(-rows // 4), -(-columns // 4))
        z = take([c for c in range(shape[0]) for _ in range(shape[1] * shape[2])], *self._z_tables(quality))
        level = np.array([quality - 1], np.int64)
        scale, _, features = self._parameters.run(
            None, {"z": np.array(z, np.int16).reshape(1, *shape), "quality": level}
        )
        y_tables = _tables(self._tables["y_size"], self._tables["y_mass"]), self._tables["y_lowest"].tolist()
        early, late = _places(scale.shape[1], rows, columns, 0), _places(scale.shape[1], rows, columns, 1)
        first = take(self._levels(scale[0], early, quality), *y_tables)
        told = np.zeros(scale.shape, np.float32)
        for place, residual in zip(early, first, strict=True):
            told[(0, *place)] = max(-_LARGEST_TOLD, min(residual, _LARGEST_TOLD))
        correction, _ = self._context.run(None, {"told": told, "features": features})
        second = take(self._levels(scale[0] + correction[0], late, quality), *y_tables)
        assert next(rest, None) is None
        assert stream.seal() == zlib.crc32(np.array([*z, *first, *second], "<i2").tobytes())
        return Symbols(z, first, second)

    def _levels(self, scale: np.ndarray, places: list[tuple[int, int, int]], quality: int) -> list[int]:
        spread = self._tables["spread"][quality - 1].tolist()
        units = [int(scale[place]) + spread[place[0]] for place in places]
        return [min((max(u, 0) * 1756 + 32768) >> 16, 63) for u in units]

    def _z_tables(self, quality: int) -> tuple[list[list[int]], list[int]]:
        sizes = self._tables["z_size"]
        tables = _tables(sizes.ravel(), self._tables["z_mass"])
        start = (quality - 1) * sizes.shape[1]
        return tables[start : start + sizes.shape[1]], self._tables["z_lowest"][quality - 1].tolist()


def _tables(sizes: np.ndarray, masses: np.ndarray) -> list[list[int]]:
    found, place = [], 0
    for size in sizes.tolist():
        found.append(masses[place : place + size].tolist())
        place += size
    return found


def _places(channels: int, rows: int, columns: int, half: int) -> list[tuple[int, int, int]]:
    return [
        (c, i, j)
        for c in range(channels)
        for i in range(rows)
        for j in range(columns)
        if (c + i + j) % 2 == half
    ]


def _read_escapes(payload: bytes) -> tuple[list[int], int]:
    numbers: list[int] = []
    place, shift, value = 0, 0, 0
    while not numbers or len(numbers) <= numbers[0]:
        byte = payload[place]
        place += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            numbers.append(value)
            shift, value = 0, 0
    return [n // 2 if n % 2 == 0 else -(n + 1) // 2 for n in numbers[1:]], place
