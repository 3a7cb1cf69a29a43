"""Pixels to planes and back."""

from __future__ import annotations

import numpy as np

from pipeline.codec.planes import place_pixels, planes_of
from pipeline.codec.tiling import Box

PIXELS = np.random.default_rng(0).integers(0, 256, (21, 30, 3), dtype=np.uint8)


def test_planes_are_pixel_unshuffle() -> None:
    """Plane 64 c + 8 a + b holds colour c at rows a, a + 8, ... and columns b, b + 8, ...; borders repeat."""
    planes = planes_of(PIXELS, Box(8, 0, 24, 32))
    padded = np.pad(PIXELS, ((0, 3), (0, 2), (0, 0)), mode="edge")
    for c in range(3):
        for a in range(8):
            for b in range(8):
                assert np.array_equal(planes[64 * c + 8 * a + b], padded[8 + a :: 8, b::8, c])


def test_pixels_come_back() -> None:
    """Any part of what planes hold, also into a part of a larger picture."""
    planes = planes_of(PIXELS, Box(0, 0, 24, 32))
    canvas = np.zeros((40, 40, 3), np.uint8)
    place_pixels(planes, Box(3, 5, 21, 29), canvas[10:28, 2:26])
    assert np.array_equal(canvas[10:28, 2:26], PIXELS[3:21, 5:29])
    assert canvas.any(axis=2).sum() <= 18 * 24
