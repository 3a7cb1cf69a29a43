"""How many more bits one codec takes than another for the same quality (Bjontegaard delta rate).

Bjontegaard: VCEG-M33, 2001; here with piecewise cubic Hermite interpolation (PCHIP; Fritsch and Butland,
1984, as in SciPy), which does not swing between the points as one cubic polynomial does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class BdRate:
    """A difference of rates, and the qualities over which it is the mean.

    Attributes:
        percent: Bits of the tested codec against the anchor's, -20 for 20 % fewer.
        lowest: Where the common range of qualities begins.
        highest: Where it ends.
    """

    percent: float
    lowest: float
    highest: float


def bd_rate(
    rates: Sequence[float],
    qualities: Sequence[float],
    anchor_rates: Sequence[float],
    anchor_qualities: Sequence[float],
) -> BdRate:
    """The mean difference of log rate over the qualities that both curves reach, as per cent of rate.

    Args:
        rates: Bits a pixel (or any measure of size) of the tested codec, in any order.
        qualities: Decibels of those points.
        anchor_rates: The same of the codec that it is compared with.
        anchor_qualities: The same.

    Raises:
        ValueError: Fewer than two points, a rate that is not positive, a quality that does not rise with the
            rate, or curves without a common range.
    """
    ours, theirs = _Curve(rates, qualities), _Curve(anchor_rates, anchor_qualities)
    lowest = max(ours.qualities[0], theirs.qualities[0])
    highest = min(ours.qualities[-1], theirs.qualities[-1])
    if lowest >= highest:
        raise ValueError("the curves have no quality in common")
    difference = (ours.integral(lowest, highest) - theirs.integral(lowest, highest)) / (highest - lowest)
    return BdRate(float(100 * np.expm1(difference)), float(lowest), float(highest))


class _Curve:
    """Log rate as a function of quality."""

    def __init__(self, rates: Sequence[float], qualities: Sequence[float]) -> None:
        order = np.argsort(rates)
        sorted_rates = np.asarray(rates, np.float64)[order]
        self.qualities = np.asarray(qualities, np.float64)[order]
        if len(order) < 2 or sorted_rates[0] <= 0:
            raise ValueError("a curve needs two points or more, and rates above 0")
        if not (np.diff(self.qualities) > 0).all():
            raise ValueError("a curve's quality must rise with its rate")
        self._logs = np.log(sorted_rates)
        self._slopes = _slopes(np.diff(self.qualities), np.diff(self._logs) / np.diff(self.qualities))

    def integral(self, lowest: float, highest: float) -> float:
        """Exact: Simpson's rule on each cubic piece."""
        inner = self.qualities[(self.qualities > lowest) & (self.qualities < highest)]
        ends = np.array([lowest, *inner, highest])
        middles = (ends[:-1] + ends[1:]) / 2
        piece = np.searchsorted(self.qualities, middles) - 1
        total = self._at(piece, ends[:-1]) + 4 * self._at(piece, middles) + self._at(piece, ends[1:])
        return float((np.diff(ends) * total).sum() / 6)

    def _at(self, piece: NDArray[np.intp], quality: Floats) -> Floats:
        """The cubic Hermite polynomial of each piece."""
        width = self.qualities[piece + 1] - self.qualities[piece]
        t = (quality - self.qualities[piece]) / width
        values: Floats = (
            (1 + 2 * t) * (1 - t) ** 2 * self._logs[piece]
            + t**2 * (3 - 2 * t) * self._logs[piece + 1]
            + width * t * (1 - t) ** 2 * self._slopes[piece]
            - width * t**2 * (1 - t) * self._slopes[piece + 1]
        )
        return values


def _slopes(widths: Floats, secants: Floats) -> Floats:
    """Slopes at the points: inside, the secants' weighted harmonic mean, 0 where they differ in sign."""
    if len(secants) == 1:
        return np.repeat(secants, 2)
    before, after = 2 * widths[1:] + widths[:-1], widths[1:] + 2 * widths[:-1]
    same_sign = secants[:-1] * secants[1:] > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        inside = (before + after) / (before / secants[:-1] + after / secants[1:])
    first = _end_slope(widths[0], widths[1], secants[0], secants[1])
    last = _end_slope(widths[-1], widths[-2], secants[-1], secants[-2])
    return np.array([first, *np.where(same_sign, inside, 0.0), last])


def _end_slope(width: float, next_width: float, secant: float, next_secant: float) -> float:
    """Three-point estimate that keeps the curve monotone."""
    slope = ((2 * width + next_width) * secant - width * next_secant) / (width + next_width)
    if slope * secant <= 0:
        return 0.0
    if secant * next_secant <= 0 and abs(slope) > 3 * abs(secant):
        return 3 * secant
    return float(slope)
