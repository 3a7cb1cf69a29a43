"""What stands under full transparency is no part of a picture: it is replaced by what surrounds it.

Files have anything there: black, white, a picture of its own. A network would see it, and statistics would be
of it. The fill is coarse, from the visible pixels alone, and near to them where they end.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_CELL_PX = 16
_STRIP_PX = 16 * _CELL_PX

Floats = NDArray[np.float32]


def fill_hidden(pixels: NDArray[np.uint8], alpha: NDArray[np.uint8] | None) -> NDArray[np.uint8]:
    """The picture with new colours where alpha is 0.

    Args:
        pixels: uint8 (H, W, 3).
        alpha: uint8 (H, W), 0 transparent; None where all is opaque.

    Returns:
        A picture of the same size; the same array where nothing, or everything, is hidden.
    """
    if alpha is None or alpha.all() or not alpha.any():
        return pixels
    coarse = Image.fromarray(np.rint(_spread(*_cell_means(pixels, alpha > 0))).astype(np.uint8))
    height, width = alpha.shape
    filled = pixels.copy()
    for top in range(0, height, _STRIP_PX):
        bottom = min(top + _STRIP_PX, height)
        box = (0, top / _CELL_PX, width / _CELL_PX, bottom / _CELL_PX)
        smooth = coarse.resize((width, bottom - top), Image.Resampling.BILINEAR, box=box)
        hidden = alpha[top:bottom] == 0
        filled[top:bottom][hidden] = np.asarray(smooth)[hidden]
    return filled


def _cell_means(pixels: NDArray[np.uint8], seen: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Mean colour of the visible pixels of each cell, (h, w, 3), and how many there are, (h, w)."""
    height, width = seen.shape
    columns = np.arange(0, width, _CELL_PX)
    sums, counts = [], []
    for top in range(0, height, _CELL_PX):
        rows = slice(top, min(top + _CELL_PX, height))
        visible = np.where(seen[rows, :, None], pixels[rows], 0).sum(axis=0, dtype=np.float32)
        sums.append(np.add.reduceat(visible, columns, axis=0))
        counts.append(np.add.reduceat(seen[rows].sum(axis=0, dtype=np.float32), columns))
    count = np.stack(counts)
    return np.stack(sums) / np.maximum(count, 1)[..., None], count


def _spread(colours: Floats, weights: Floats) -> Floats:
    """Gives cells without weight the colour of those around, coarser and coarser ones (push-pull).

    After Gortler et al., The Lumigraph, SIGGRAPH 1996, section 3.4.
    """
    if weights.all() or colours.shape[:2] == (1, 1):
        return colours
    height, width = weights.shape
    padded = np.pad(weights, ((0, height % 2), (0, width % 2)))
    parts = np.pad(colours * weights[..., None], ((0, height % 2), (0, width % 2), (0, 0)))
    half = (padded.shape[0] // 2, 2, padded.shape[1] // 2, 2)
    total = padded.reshape(half).sum(axis=(1, 3))
    mean = parts.reshape(*half, 3).sum(axis=(1, 3)) / np.maximum(total, 1)[..., None]
    # More than one pixel's worth of evidence is no better than one: weights saturate on the way up.
    below = _spread(mean, np.minimum(total, 1))
    large = below.repeat(2, axis=0).repeat(2, axis=1)[:height, :width]
    return np.where(weights[..., None] > 0, colours, large)
