"""The artifact's tables: what training learned, and residuals as often as training photographs have them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from export.masses import table_of
from pipeline.codec.entropy_tables import EntropyTables
from pipeline.models.blocks import QUALITIES
from pipeline.models.compression.gaussian import LEVELS, scale_of_level
from pipeline.models.compression.graphs import mean_unit, of_every_quality, spread_units, z_steps
from pipeline.models.compression.hyperprior import Z_BITS
from pipeline.models.compression.model import CompressionModel
from pipeline.models.factorised_prior import FactorisedPrior

REACH = 1024  # the furthest residual that a table may hold
_WIDEST = 2**13  # symbols of z to each side that are looked at
_TOO_RARE = 2.0**-17
_BELIEF = 3000.0  # symbols that the assumed density counts for, beside those that were seen
_STRAYS = 0.02  # part of the assumed density that is wide


@torch.no_grad()
def make_tables(model: CompressionModel) -> EntropyTables:
    """Tables with a Gaussian for each level, and for z at quality 1, 2, ..., 100.

    Each covers the symbols whose probability is at least half of 1/65536 and ends with the escape, which
    holds the rest; entries are at least 1 and sum to 65536.
    """
    y = [table_of(gaussian_masses(level)) for level in range(LEVELS)]
    steps = z_steps(model) / 2**Z_BITS
    z = [
        [table_of(row) for row in _z_likelihood(model.prior, 1 / steps[level][None, :, None, None])]
        for level in range(QUALITIES)
    ]
    return EntropyTables(
        y_lowest=np.array([first for first, _ in y], np.int16),
        y_size=np.array([mass.size for _, mass in y], np.uint16),
        y_mass=np.concatenate([mass for _, mass in y]),
        z_lowest=np.array([[first for first, _ in level] for level in z], np.int16),
        z_size=np.array([[mass.size for _, mass in level] for level in z], np.uint16),
        z_mass=np.concatenate([mass for level in z for _, mass in level]),
        gain=of_every_quality(model.log_gain).exp().numpy(),
        inverse_gain=of_every_quality(model.log_inverse_gain).exp().numpy(),
        unit=mean_unit(model).numpy(),
        spread=spread_units(model).numpy().astype(np.int32),
    )


def fit_to_residuals(tables: EntropyTables, counts: np.ndarray) -> EntropyTables:
    """Replaces each level's Gaussian by what was counted, and by a heavier-tailed density where little was.

    Args:
        tables: Of `make_tables`.
        counts: int64 (64, 2 REACH + 1), how often each residual from -REACH on was coded with each level.
    """
    found = [table_of(_fitted(level, counts[level])) for level in range(LEVELS)]
    return replace(
        tables,
        y_lowest=np.array([first for first, _ in found], np.int16),
        y_size=np.array([mass.size for _, mass in found], np.uint16),
        y_mass=np.concatenate([mass for _, mass in found]),
    )


def gaussian_masses(level: int) -> np.ndarray:
    """Probabilities of -REACH, ..., REACH under a level's Gaussian, float64, symmetric."""
    scale = float(scale_of_level(torch.tensor(float(level), dtype=torch.float64)))
    edges = (torch.arange(-REACH, 2, dtype=torch.float64) - 0.5) / scale
    # Differences of the lower tail only, so that the table is exactly symmetric.
    lower = torch.special.ndtr(edges).numpy()
    half = np.diff(lower)
    half[-1] = 1 - 2 * lower[REACH]
    return np.concatenate([half, half[-2::-1]])


def _fitted(level: int, counts: np.ndarray) -> np.ndarray:
    """Probabilities of -REACH, ..., REACH: counts of both signs together, and a prior belief."""
    scale = float(scale_of_level(torch.tensor(float(level))))
    assumed = (1 - _STRAYS) * gaussian_masses(level) + _STRAYS * _laplacian_masses(max(1.5 * scale, 0.5))
    seen = (counts + counts[::-1]) / 2
    return np.asarray((seen + _BELIEF * assumed) / (seen.sum() + _BELIEF))


def _laplacian_masses(scale: float) -> np.ndarray:
    distance = np.abs(np.arange(-REACH, REACH + 1))
    density = np.exp(-distance / scale)
    return np.asarray(density / density.sum())


@torch.no_grad()
def _z_likelihood(prior: FactorisedPrior, gain: torch.Tensor) -> np.ndarray:
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
        if half_width >= _WIDEST or (likelihood[:, [0, -1]] < _TOO_RARE).all():
            return likelihood
        half_width *= 2
