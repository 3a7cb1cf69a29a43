"""Integer probability tables: Gaussians of 64 scales for residuals, the learned prior for z."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from pipeline.codec.entropy_tables import EntropyTables
from pipeline.codec.rans import TOTAL
from pipeline.models.compression import CompressionModel
from pipeline.models.compression_graphs import z_steps
from pipeline.models.gaussian import LEVELS, scale_of_level
from pipeline.models.hyperprior import Z_BITS
from pipeline.models.shape import QUALITIES

_WIDEST = 2**13  # symbols to each side that are looked at
_KEPT_MASS = 0.5 / TOTAL  # a symbol rarer than half a unit is left to the escape


@torch.no_grad()
def make_tables(model: CompressionModel) -> EntropyTables:
    """Tables for every scale, and for z at quality 1, 2, ..., 100.

    Each covers the symbols whose probability is at least half of 1/65536 and ends with the escape, which
    holds the rest; entries are at least 1 and sum to 65536.
    """
    y = [_table(_gaussian_masses(float(scale))) for scale in scale_of_level(torch.arange(LEVELS).double())]
    steps = z_steps(model) / 2**Z_BITS
    z = [[_table(row) for row in _z_masses(model, steps[level])] for level in range(QUALITIES)]
    flat_z = [table for level in z for table in level]
    return EntropyTables(
        y_lowest=np.array([first for first, _ in y], np.int16),
        y_size=np.array([mass.size for _, mass in y], np.uint16),
        y_mass=np.concatenate([mass for _, mass in y]),
        z_lowest=np.array([[first for first, _ in level] for level in z], np.int16),
        z_size=np.array([[mass.size for _, mass in level] for level in z], np.uint16),
        z_mass=np.concatenate([mass for _, mass in flat_z]),
    )


def _gaussian_masses(scale: float) -> np.ndarray:
    """Probabilities of -n, ..., n, float64."""
    reach = int(np.ceil(5 * scale)) + 1
    edges = (torch.arange(-reach, reach + 2, dtype=torch.float64) - 0.5) / scale
    # Differences of the lower tail only, so that the table is exactly symmetric.
    lower = torch.special.ndtr(edges[: reach + 2]).numpy()
    half = np.diff(lower)
    half[-1] = 1 - 2 * lower[reach]
    return np.concatenate([half, half[-2::-1]])


def _z_masses(model: CompressionModel, step: Tensor) -> np.ndarray:
    """Probabilities of -n, ..., n for each channel, float64 (Z, 2n + 1), wide enough for all."""
    half_width = 16
    while True:
        symbols = torch.arange(-half_width, half_width + 1, dtype=torch.float64)
        grid = symbols[None, None, None, :].expand(1, step.shape[0], 1, -1)
        prior = model.prior.double()
        likelihood: np.ndarray = prior.likelihood(grid, 1 / step.double()[None, :, None, None])[
            0, :, 0
        ].numpy()
        model.prior.float()
        if half_width >= _WIDEST or (likelihood[:, [0, -1]] < _KEPT_MASS).all():
            return likelihood
        half_width *= 2


def _table(likelihood: np.ndarray) -> tuple[int, np.ndarray]:
    """First symbol and masses of the probabilities of -n, ..., n."""
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
