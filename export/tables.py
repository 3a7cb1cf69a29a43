"""Integer probability tables of the factorised prior, one for each quality and channel."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from pipeline.codec.tables import TOTAL, ProbabilityTables
from pipeline.models.compression import CompressionModel, rate_of_quality

QUALITIES = 100
_WIDEST = 2**13  # symbols to each side that are looked at
_KEPT_MASS = 0.5 / TOTAL  # a symbol rarer than half a unit is left to the escape


@torch.no_grad()
def make_tables(model: CompressionModel) -> ProbabilityTables:
    """Gains, inverse gains and tables at quality 1, 2, ..., 100.

    Each table covers the symbols whose probability is at least half of 1/65536 and ends with the escape,
    which holds the rest; entries are at least 1 and sum to 65536.
    """
    qualities = torch.arange(1, QUALITIES + 1, dtype=torch.float32)
    t = rate_of_quality(qualities)
    gain, inverse_gain = model.gain(t), model.inverse_gain(t)
    lowest = np.zeros((QUALITIES, gain.shape[1]), np.int16)
    size = np.zeros_like(lowest)
    masses: list[np.ndarray] = []
    for level in range(QUALITIES):
        for channel, (first, mass) in enumerate(_level_masses(model, gain[level : level + 1])):
            lowest[level, channel], size[level, channel] = first, mass.size
            masses.append(mass)
    return ProbabilityTables(
        gain=gain[:, :, 0, 0].numpy(),
        inverse_gain=inverse_gain[:, :, 0, 0].numpy(),
        lowest=lowest,
        size=size,
        mass=np.concatenate(masses),
    )


def _level_masses(model: CompressionModel, gain: Tensor) -> list[tuple[int, np.ndarray]]:
    found = []
    half_width = 64
    while True:  # widened until every channel's support ends inside
        symbols = torch.arange(-half_width, half_width + 1, dtype=torch.float64)
        grid = symbols[None, None, None, :].expand(1, gain.shape[1], 1, -1)
        likelihood = model.prior.double().likelihood(grid, gain.double())[0, :, 0].numpy()
        model.prior.float()
        if half_width >= _WIDEST or (likelihood[:, [0, -1]] < _KEPT_MASS).all():
            break
        half_width *= 2
    for row in likelihood:
        inside = np.flatnonzero(row >= _KEPT_MASS)
        first, last = int(inside[0]), int(inside[-1])
        found.append((first - half_width, integer_masses(row[first : last + 1])))
    return found


def integer_masses(probabilities: np.ndarray) -> np.ndarray:
    """uint16 masses of these symbols and, last, of the escape; each at least 1, the sum is TOTAL.

    Args:
        probabilities: float64, positive, sum at most 1.
    """
    with_escape = np.append(probabilities, max(1.0 - probabilities.sum(), 0.0))
    masses = np.maximum(np.rint(with_escape * TOTAL), 1).astype(np.int64)
    # What rounding left over is taken from or given to the largest entry, where it costs least.
    masses[np.argmax(masses)] += TOTAL - masses.sum()
    return np.asarray(masses, np.uint16)
