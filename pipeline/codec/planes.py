"""Pixels to the planes that the networks take, and back (PixelUnshuffle by 8).

Plane 64 c + 8 a + b holds colour c of every eighth pixel, starting at row a and column b.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.codec.jit import compiled
from pipeline.codec.tiling import Box

_STRIDE = 8
_PLANES = 3 * _STRIDE * _STRIDE

Bytes = NDArray[np.uint8]


def planes_of(pixels: Bytes, box: Box) -> Bytes:
    """Planes, (192, h / 8, w / 8), of a part of a picture (H, W, 3).

    Args:
        pixels: The picture.
        box: In pixels, its sides multiples of 8; past the lower or right border, that border is repeated.
    """
    planes = np.empty((_PLANES, box.height // _STRIDE, box.width // _STRIDE), np.uint8)
    _gather(pixels, box.top, box.left, planes)
    return planes


def place_pixels(planes: Bytes, source: Box, pixels: Bytes) -> None:
    """Writes a part of what planes hold, in pixels, to an array of its size, (h, w, 3)."""
    _scatter(planes, source.top, source.left, pixels)


@compiled
def _gather(pixels, top, left, planes):  # type: ignore[no-untyped-def]
    height, width = pixels.shape[0], pixels.shape[1]
    for i in range(planes.shape[1]):
        for a in range(8):
            row = min(top + 8 * i + a, height - 1)
            for c in range(3):
                for b in range(8):
                    for j in range(planes.shape[2]):
                        planes[64 * c + 8 * a + b, i, j] = pixels[row, min(left + 8 * j + b, width - 1), c]


@compiled
def _scatter(planes, top, left, pixels):  # type: ignore[no-untyped-def]
    for y in range(pixels.shape[0]):
        i, a = (top + y) // 8, (top + y) % 8
        for x in range(pixels.shape[1]):
            j, b = (left + x) // 8, (left + x) % 8
            for c in range(3):
                pixels[y, x, c] = planes[64 * c + 8 * a + b, i, j]
