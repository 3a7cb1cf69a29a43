"""Pictures at other sizes, strip by strip: Pillow would hold a whole one two or three times."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Size = tuple[int, int]  # width, height in pixels
_STRIP_PX = 256
_LANCZOS_LOBES = 3


def size_within(size: Size, max_side_px: int | None) -> Size:
    """The size with its longer side at most so long, in the same proportions; never larger."""
    longest = max(size)
    if max_side_px is None or longest <= max_side_px:
        return size
    return scaled(size, max_side_px / longest)


def scaled(size: Size, factor: float) -> Size:
    """The size times a factor, rounded, sides of 1 px at least."""
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def resized(samples: NDArray[np.uint8], size: Size) -> NDArray[np.uint8]:
    """A picture, uint8 (H, W, 3) or (H, W), at another size (Lanczos); the same array at its own."""
    height, width = samples.shape[:2]
    if (width, height) == size:
        return samples
    result = np.empty((size[1], size[0], *samples.shape[2:]), np.uint8)
    step = height / size[1]  # rows of the source a row of the result
    reach = math.ceil(_LANCZOS_LOBES * max(step, 1)) + 1
    for top in range(0, size[1], _STRIP_PX):
        bottom = min(top + _STRIP_PX, size[1])
        first = max(0, math.floor(top * step) - reach)
        source = Image.fromarray(samples[first : math.ceil(bottom * step) + reach])
        box = (0, top * step - first, width, min(bottom * step - first, source.height))
        strip = source.resize((size[0], bottom - top), Image.Resampling.LANCZOS, box=box)
        result[top:bottom] = np.asarray(strip)
    return result
