"""Integer probability tables of the factorised prior, one for each quality and channel."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from pipeline.codec.tables import TOTAL, ProbabilityTables
from pipeline.models.blocks import QUALITIES, rate_of_quality
from pipeline.models.compression import CompressionModel
from pipeline.models.factorised_prior import FactorisedPrior

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
        for channel, row in enumerate(prior_likelihood(model.prior, gain[level : level + 1])):
            first, mass = table_of(row)
            lowest[level, channel], size[level, channel] = first, mass.size
            masses.append(mass)
    return ProbabilityTables(
        gain=gain[:, :, 0, 0].numpy(),
        inverse_gain=inverse_gain[:, :, 0, 0].numpy(),
        lowest=lowest,
        size=size,
        mass=np.concatenate(masses),
    )


@torch.no_grad()
def prior_likelihood(prior: FactorisedPrior, gain: Tensor) -> np.ndarray:
    """Probabilities of -n, ..., n, float64 (C, 2n + 1), n wide enough for every channel.

    Args:
        prior: Stays as it was, in float32.
        gain: Float (1, C, 1, 1).
    """
    half_width = 64
    while True:
        symbols = torch.arange(-half_width, half_width + 1, dtype=torch.float64)
        grid = symbols[None, None, None, :].expand(1, gain.shape[1], 1, -1)
        likelihood: np.ndarray = prior.double().likelihood(grid, gain.double())[0, :, 0].numpy()
        prior.float()
        if half_width >= _WIDEST or (likelihood[:, [0, -1]] < _KEPT_MASS).all():
            return likelihood
        half_width *= 2


def table_of(likelihood: np.ndarray) -> tuple[int, np.ndarray]:
    """First symbol and masses of the probabilities of -n, ..., n, without those too rare to keep."""
    inside = np.flatnonzero(likelihood >= _KEPT_MASS)
    first, last = int(inside[0]), int(inside[-1])
    return first - likelihood.size // 2, integer_masses(likelihood[first : last + 1])


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
