"""Pictures at other sizes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Size = tuple[int, int]  # width, height in pixels


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
    if (samples.shape[1], samples.shape[0]) == size:
        return samples
    return np.asarray(Image.fromarray(samples).resize(size, Image.Resampling.LANCZOS))
