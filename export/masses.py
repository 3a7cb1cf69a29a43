"""Probabilities to the integer masses that the entropy coder takes."""

from __future__ import annotations

import numpy as np

from pipeline.codec.rans import TOTAL

_KEPT_MASS = 0.5 / TOTAL  # a symbol rarer than half a unit is left to the escape


def table_of(likelihood: np.ndarray) -> tuple[int, np.ndarray]:
    """First symbol and masses of the probabilities of -n, ..., n, without those too rare to keep."""
    inside = np.flatnonzero(likelihood >= _KEPT_MASS)
    first, last = int(inside[0]), int(inside[-1])
    return first - likelihood.size // 2, integer_masses(likelihood[first : last + 1])


def integer_masses(probabilities: np.ndarray) -> np.ndarray:
    """uint16 masses of these symbols and, last, of the escape; each at least 1, the sum is 65536.

    Args:
        probabilities: float64, positive, sum at most 1.
    """
    with_escape = np.append(probabilities, max(1.0 - probabilities.sum(), 0.0))
    masses = np.maximum(np.rint(with_escape * TOTAL), 1).astype(np.int64)
    # What rounding left over is taken from or given to the largest entry, where it costs least.
    masses[np.argmax(masses)] += TOTAL - masses.sum()
    return np.asarray(masses, np.uint16)
