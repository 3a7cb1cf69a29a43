"""Between the graphs: scales to table indices, y to residuals, residuals to y_hat, one half after the other.

A value of y at channel c, row i, column j belongs to the first half if c + i + j is even. Values are coded
channel by channel, row by row; cells outside the picture are not. With `scale` and `mean` as the exact graphs
give them (for the second half, the context's corrections added), `spread` and `unit` from the artifact's
tables:

    level    = min((max(scale + spread, 0) * 1756 + 2^15) >> 16, 63)
    residual = y * gain - mean * unit, rounded                               (the encoder's choice)
    y_hat    = (residual + mean * unit) * inverse_gain                       (float32, in this order)

y and y_hat are on the grid of 1/8: channel c of cell (i, j) stands at [c // 4, 2i + c // 2 % 2, 2j + c % 2].
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.codec.jit import compiled

LEVEL_STEP = 1756  # 64 scales from 0.11 to 64, evenly spaced in log2, which is in units of 2^-8
MEAN_BITS = 10  # a unit of a mean is 2^-10 of the usual spread
LARGEST_TOLD = 31  # what the context sees of a residual
LARGEST_RESIDUAL = 2**15 - 1
_LAST_LEVEL = 63
_MOST_SCALE_UNITS = 2**12  # beyond the last level

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Rate:
    """What quality changes, for each channel of y.

    Attributes:
        gain: float32 (M,), multiplies y before rounding.
        inverse_gain: float32 (M,), multiplies y_hat after it.
        unit: float32 (M,), what one unit of a mean is worth.
        spread: int32 (M,), log2 of the usual scale over 0.11 in units of 2^-8.
    """

    gain: Floats
    inverse_gain: Floats
    unit: Floats
    spread: NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Parameters:
    """Scales and means, float32 (M, h, w) that hold integers; h and w may go beyond the picture."""

    scale: Floats
    mean: Floats


def in_units_of_spread(y: Floats, rate: Rate, multiple: int) -> Floats:
    """Y * gain over its usual spread, (M, h, w): what the hyper-encoder looks at.

    Args:
        y: (M/4, 2 rows, 2 columns).
        rate: The quality's.
        multiple: h and w are rows and columns up to the next multiple of this; the last cells are repeated.
    """
    rows, columns = y.shape[1] // 2, y.shape[2] // 2
    size = (4 * y.shape[0], rows + -rows % multiple, columns + -columns % multiple)
    scaled = np.empty(size, np.float32)
    _scale(rows, columns, y, rate.gain / (rate.unit * np.float32(2**MEAN_BITS)), scaled)
    return scaled


def half_size(channels: int, rows: int, columns: int, half: int) -> int:
    """How many values of a tile of rows x columns cells belong to a half, 0 or 1."""
    even = -(-rows * columns // 2)  # cells whose row and column have an even sum
    odd = rows * columns - even
    even_channels, odd_channels = -(-channels // 2), channels // 2
    return even_channels * (even, odd)[half] + odd_channels * (odd, even)[half]


def indices_of_half(  # noqa: PLR0917
    half: int, rows: int, columns: int, rate: Rate, first: Parameters, correction: Parameters
) -> NDArray[np.uint8]:
    """Table indices of a half's residuals, flat. For the first half the correction is not looked at."""
    channels = first.scale.shape[0]
    levels = np.empty(half_size(channels, rows, columns, half), np.uint8)
    _levels(half, rows, columns, rate.spread, first.scale, correction.scale, levels)
    return levels


def residuals_of_half(
    half: int, y: Floats, rate: Rate, first: Parameters, correction: Parameters
) -> NDArray[np.int16]:
    """Residuals of a half, flat; y is that of cells inside the picture, (M/4, 2 rows, 2 columns)."""
    rows, columns = y.shape[1] // 2, y.shape[2] // 2
    residuals = np.empty(half_size(first.mean.shape[0], rows, columns, half), np.int16)
    _residuals(half, rows, columns, y, rate.gain, rate.unit, first.mean, correction.mean, residuals)
    return residuals


def tell(residuals: NDArray[np.int16], rows: int, columns: int, shape: tuple[int, ...]) -> Floats:
    """The context's view of the first half: limited, zeros elsewhere; shape is (M, h, w)."""
    told = np.zeros(shape, np.float32)
    _tell(rows, columns, residuals, told)
    return told


def restore_half(  # noqa: PLR0917
    half: int,
    residuals: NDArray[np.int16],
    rate: Rate,
    first: Parameters,
    correction: Parameters,
    y_hat: Floats,
) -> None:
    """Writes a half of y_hat, (M/4, 2 rows, 2 columns)."""
    rows, columns = y_hat.shape[1] // 2, y_hat.shape[2] // 2
    _restore(half, rows, columns, residuals, rate.unit, rate.inverse_gain, first.mean, correction.mean, y_hat)


@compiled
def _scale(rows, columns, y, factor, scaled):  # type: ignore[no-untyped-def]
    for c in range(scaled.shape[0]):
        q, a, b = c // 4, c // 2 % 2, c % 2
        for i in range(scaled.shape[1]):
            row = 2 * min(i, rows - 1) + a
            for j in range(scaled.shape[2]):
                scaled[c, i, j] = y[q, row, 2 * min(j, columns - 1) + b] * factor[c]


@compiled
def _levels(half, rows, columns, spread, scale, correction, levels):  # type: ignore[no-untyped-def]  # noqa: PLR0917
    k = 0
    for c in range(scale.shape[0]):
        for i in range(rows):
            for j in range((c + i + half) & 1, columns, 2):
                units = np.int32(scale[c, i, j]) + spread[c]
                if half == 1:
                    units += np.int32(correction[c, i, j])
                units = min(max(units, 0), _MOST_SCALE_UNITS)
                levels[k] = min((units * LEVEL_STEP + 32768) >> 16, _LAST_LEVEL)
                k += 1


@compiled
def _residuals(half, rows, columns, y, gain, unit, mean, correction, residuals):  # type: ignore[no-untyped-def]  # noqa: PLR0917
    k = 0
    for c in range(mean.shape[0]):
        q, a, b = c // 4, c // 2 % 2, c % 2
        for i in range(rows):
            for j in range((c + i + half) & 1, columns, 2):
                m = mean[c, i, j]
                if half == 1:
                    m += correction[c, i, j]
                r = np.rint(y[q, 2 * i + a, 2 * j + b] * gain[c] - m * unit[c])
                residuals[k] = np.int16(min(max(r, -LARGEST_RESIDUAL), LARGEST_RESIDUAL))
                k += 1


@compiled
def _tell(rows, columns, residuals, told):  # type: ignore[no-untyped-def]
    k = 0
    for c in range(told.shape[0]):
        for i in range(rows):
            for j in range((c + i) & 1, columns, 2):
                told[c, i, j] = min(max(residuals[k], -LARGEST_TOLD), LARGEST_TOLD)
                k += 1


@compiled
def _restore(half, rows, columns, residuals, unit, inverse_gain, mean, correction, y_hat):  # type: ignore[no-untyped-def]  # noqa: PLR0917
    k = 0
    for c in range(mean.shape[0]):
        q, a, b = c // 4, c // 2 % 2, c % 2
        for i in range(rows):
            for j in range((c + i + half) & 1, columns, 2):
                m = mean[c, i, j]
                if half == 1:
                    m += correction[c, i, j]
                y_hat[q, 2 * i + a, 2 * j + b] = (np.float32(residuals[k]) + m * unit[c]) * inverse_gain[c]
                k += 1
