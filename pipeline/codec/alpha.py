"""The alpha plane: kept without loss, each row as its difference to the one above, through zlib."""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray

from pipeline.core.errors import CorruptBitstream


def pack_alpha(alpha: NDArray[np.uint8]) -> bytes:
    """Packs an alpha plane, uint8 (H, W), without loss."""
    rows = alpha.copy()
    rows[1:] -= alpha[:-1]
    return zlib.compress(rows.tobytes(), 6)


def unpack_alpha(packed: bytes, height_px: int, width_px: int) -> NDArray[np.uint8]:
    """The uint8 (H, W) plane of `pack_alpha`. Never inflates much more than H x W bytes.

    Raises:
        CorruptBitstream: Not a plane of that size.
    """
    size = height_px * width_px
    inflater = zlib.decompressobj()
    try:
        plane = inflater.decompress(packed, size + 1)  # one more, so that the stream's end is read, too
    except zlib.error as error:
        raise CorruptBitstream("the alpha plane is damaged") from error
    if len(plane) != size or not inflater.eof or inflater.unused_data:
        raise CorruptBitstream("the alpha plane does not have the picture's size")
    rows = np.frombuffer(plane, np.uint8).reshape(height_px, width_px)
    return np.add.accumulate(rows, axis=0, dtype=np.uint8)
