"""Multi-scale structural similarity of 8-bit pictures.

Wang, Simoncelli, Bovik: "Multiscale structural similarity for image quality assessment", 2003; constants and
window as in the authors' code: Gaussian, 11 x 11, sigma 1.5, only where it lies wholly inside the picture.
Colour is the mean over the channels' values, as learned codecs are commonly compared.

Pictures x and y are carried as u = x + y and v = x - y: everything SSIM needs of a window are the means of
u, v, u^2 and v^2, four filters instead of five. Filters are products with small banded matrices, first down,
then across. Rows pass in strips through all scales at once, so memory grows with the width only.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache, reduce

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # finest scale first
_TAPS = 11
MIN_SIDE_PX = (_TAPS - 1) * 2 ** (len(WEIGHTS) - 1) + 1  # 161: the window still fits at the coarsest scale
_SIGMA = 1.5
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
_BLOCK = 32  # outputs of one product: larger ones compute more zeros, smaller ones call more often
_ROWS_AT_ONCE = 64
_OFFSET = 255.0  # taken from u, so that squares stay small and float32 is enough


def ms_ssim(reference: NDArray[np.uint8], image: NDArray[np.uint8]) -> float | None:
    """Mean over the channels of the product over five scales, 0 to 1.

    A mean contrast below 0 (a picture against its negative) counts as 0.

    Args:
        reference: uint8 (H, W) or (H, W, C).
        image: The same shape.

    Returns:
        1.0 for equal pictures; None when a side is shorter than 161 pixels: with fewer scales or another
        border the number would not be comparable.

    Raises:
        ValueError: The shapes differ.
    """
    if reference.shape != image.shape:
        raise ValueError(f"cannot compare {reference.shape} with {image.shape}")
    if min(reference.shape[:2]) < MIN_SIDE_PX:
        return None
    finest = reduce(lambda coarser, _: _Scale(coarser), WEIGHTS[1:], _Scale(None))
    for top in range(0, reference.shape[0], _ROWS_AT_ONCE):
        rows = slice(top, top + _ROWS_AT_ONCE)
        finest.push(_sum_and_difference(reference[rows], image[rows]))
    contrasts, coarsest = finest.finish()
    means = np.array([*contrasts[:-1], coarsest]).clip(min=0)
    return float((means ** np.array(WEIGHTS)[:, None]).prod(axis=0).mean())


class _Scale:
    """One scale: takes rows of u and v, float32 (2, C, rows, W), sums its maps, passes halved rows on."""

    def __init__(self, coarser: _Scale | None) -> None:
        self._coarser = coarser
        self._rows: Floats | None = None  # the last ten rows seen: the next windows begin there
        self._odd: Floats | None = None  # a row that waits for its pair
        self._contrast: NDArray[np.float64] = np.zeros(1)
        self._ssim: NDArray[np.float64] = np.zeros(1)
        self._count = 0

    def push(self, rows: Floats) -> None:
        seen = _joined(self._rows, rows)
        self._rows = seen[:, :, max(seen.shape[2] - (_TAPS - 1), 0) :].copy()
        if seen.shape[2] >= _TAPS:
            self._add_windows(seen)
        if self._coarser is not None:
            self._pass_on(self._coarser, rows)

    def finish(self) -> tuple[list[NDArray[np.float64]], NDArray[np.float64]]:
        """Mean contrast and structure (C,) of this and each coarser scale; mean SSIM of the coarsest."""
        mean = self._contrast / self._count
        if self._coarser is None:
            return [mean], self._ssim / self._count
        if self._odd is not None:
            self._coarser.push(_halved(_joined(self._odd, self._odd)))
        means, ssim = self._coarser.finish()
        return [mean, *means], ssim

    def _add_windows(self, rows: Floats) -> None:
        mean_u, mean_v, square_u, square_v = _filtered(np.concatenate([rows, rows * rows]))
        mean_v *= mean_v
        square_u -= mean_u * mean_u
        square_v -= mean_v
        # With variances of u and v: 2 cov(x, y) = (u - v) / 2, and var x + var y = (u + v) / 2.
        contrast = _ratio(square_u, square_v, 2 * _C2)
        self._contrast = self._contrast + contrast.sum(axis=(1, 2), dtype=np.float64)
        self._count += contrast[0].size
        if self._coarser is None:
            mean_u += np.float32(_OFFSET)
            mean_u *= mean_u
            contrast *= _ratio(mean_u, mean_v, 2 * _C1)
            self._ssim = self._ssim + contrast.sum(axis=(1, 2), dtype=np.float64)

    def _pass_on(self, coarser: _Scale, rows: Floats) -> None:
        rows = _joined(self._odd, rows)
        even = rows.shape[2] // 2 * 2
        self._odd = rows[:, :, even:].copy() if even < rows.shape[2] else None
        if even:
            coarser.push(_halved(rows[:, :, :even]))


def _sum_and_difference(reference: NDArray[np.uint8], image: NDArray[np.uint8]) -> Floats:
    """Sum less 255 and difference: u and v, float32 (2, C, rows, W)."""
    x, y = (np.moveaxis(np.atleast_3d(part), 2, 0).astype(np.float32) for part in (reference, image))
    return np.stack([x + y - np.float32(_OFFSET), x - y])


def _joined(before: Floats | None, rows: Floats) -> Floats:
    return rows if before is None else np.concatenate([before, rows], axis=2)


def _halved(rows: Floats) -> Floats:
    """Means of 2 x 2 of an even number of rows. A last odd column is its own neighbour, as in their code."""
    if rows.shape[3] % 2:
        rows = np.concatenate([rows, rows[..., -1:]], axis=3)
    pairs = rows[:, :, 0::2] + rows[:, :, 1::2]
    halved: Floats = (pairs[..., 0::2] + pairs[..., 1::2]) * np.float32(0.25)
    return halved


def _ratio(u: Floats, v: Floats, constant: float) -> Floats:
    """(u - v + c) / (u + v + c)."""
    below = u + v
    below += np.float32(constant)
    above = u - v
    above += np.float32(constant)
    above /= below
    return above


def _filtered(fields: Floats) -> Floats:
    """Gaussian means of all whole windows: float32 (..., H, W) to (..., H - 10, W - 10)."""
    *lead, height, width = fields.shape
    down = np.empty((*lead, height - _TAPS + 1, width), np.float32)
    for start, stop, matrix in _products(height):
        np.matmul(matrix, fields[..., start : stop + _TAPS - 1, :], out=down[..., start:stop, :])
    lines = down.reshape(-1, width)
    across = np.empty((len(lines), width - _TAPS + 1), np.float32)
    for start, stop, matrix in _products(width):
        np.matmul(lines[:, start : stop + _TAPS - 1], matrix.T, out=across[:, start:stop])
    return across.reshape(*lead, height - _TAPS + 1, width - _TAPS + 1)


def _products(length: int) -> Iterator[tuple[int, int, Floats]]:
    """First output, last + 1 and matrix of each product along an axis."""
    outputs = length - _TAPS + 1
    for start in range(0, outputs, _BLOCK):
        stop = min(start + _BLOCK, outputs)
        yield start, stop, _banded(stop - start)


@lru_cache(maxsize=_BLOCK)
def _banded(outputs: int) -> Floats:
    """float32 (outputs, outputs + 10): the window's weights, one step further in every row."""
    x = np.arange(_TAPS) - _TAPS // 2
    taps = np.exp(-(x**2) / (2 * _SIGMA**2))
    matrix = np.zeros((outputs, outputs + _TAPS - 1), np.float32)
    for row in range(outputs):
        matrix[row, row : row + _TAPS] = taps / taps.sum()
    return matrix
