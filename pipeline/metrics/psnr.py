"""Peak signal-to-noise ratio of 8-bit pictures."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

_ROWS_AT_ONCE = 256  # a difference of whole 100 MP pictures would hold 600 MB


def psnr_db(reference: NDArray[np.uint8], image: NDArray[np.uint8]) -> float | None:
    """10 log10(255^2 / MSE) over all samples of all channels.

    Args:
        reference: uint8 (H, W) or (H, W, C).
        image: The same shape.

    Returns:
        Decibels; None when the two are equal (the ratio is infinite).

    Raises:
        ValueError: The shapes differ.
    """
    if reference.shape != image.shape:
        raise ValueError(f"cannot compare {reference.shape} with {image.shape}")
    squared = 0
    for top in range(0, reference.shape[0], _ROWS_AT_ONCE):
        rows = slice(top, top + _ROWS_AT_ONCE)
        difference = np.subtract(reference[rows], image[rows], dtype=np.int16).astype(np.int32).ravel()
        squared += int(np.einsum("i,i->", difference, difference, dtype=np.int64))
    if squared == 0:
        return None
    return 10 * math.log10(255**2 * reference.size / squared)
