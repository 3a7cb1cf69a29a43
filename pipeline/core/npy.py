"""Half-precision matrices as .npy files, written row by row without numpy.

The format is NEP 1's version 1.0: magic, version, length of the header, a dict in Python's words, padded so
that the numbers begin at a multiple of 64 bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import IO

HEADER_BYTES = 128
_MAGIC = b"\x93NUMPY\x01\x00"


class HalfRows:
    """Rows of float16 numbers in a file, all of one width.

    Args:
        file: An empty file on disk (what is skipped must read as zeros), binary.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._width = 0
        self._rows = 0

    @property
    def empty(self) -> bool:
        """Whether no row has any numbers."""
        return self._width == 0

    def put(self, row: int, numbers: Sequence[float]) -> None:
        """Writes a row; those before it that were left out are zeros.

        Args:
            row: At or after all that were put before.
            numbers: Within float16.

        Raises:
            ValueError: It has another width than the first, or comes too late.
        """
        self._width = self._width or len(numbers)
        if len(numbers) != self._width or row < self._rows:
            raise ValueError(f"row {row} of {len(numbers)} numbers after {self._rows} of {self._width}")
        self._pad(row)
        self._file.seek(HEADER_BYTES + 2 * self._width * row)
        self._file.write(struct.pack(f"<{self._width}e", *numbers))
        self._rows = row + 1

    def close(self, rows: int) -> None:
        """Fills up to that many rows and writes the header; the file is whole then."""
        self._pad(rows)
        shape = f"{{'descr': '<f2', 'fortran_order': False, 'shape': ({rows}, {self._width}), }}"
        text = shape.ljust(HEADER_BYTES - len(_MAGIC) - 3) + "\n"
        self._file.seek(0)
        self._file.write(_MAGIC + struct.pack("<H", len(text)) + text.encode("ascii"))
        self._file.seek(0)

    def _pad(self, rows: int) -> None:
        if rows > self._rows:
            self._file.truncate(HEADER_BYTES + 2 * self._width * rows)  # what is new reads as zeros
            self._rows = rows
