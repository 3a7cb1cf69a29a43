"""Integer probability tables: Gaussians of 64 scales for residuals, the learned prior for z."""

from __future__ import annotations

import numpy as np
import torch

from export.tables import prior_likelihood, table_of
from pipeline.codec.entropy_tables import EntropyTables
from pipeline.models.blocks import QUALITIES
from pipeline.models.standard.gaussian import LEVELS, scale_of_level
from pipeline.models.standard.graphs import z_steps
from pipeline.models.standard.hyperprior import Z_BITS
from pipeline.models.standard.model import CompressionModel


@torch.no_grad()
def make_tables(model: CompressionModel) -> EntropyTables:
    """Tables for every scale, and for z at quality 1, 2, ..., 100.

    Each covers the symbols whose probability is at least half of 1/65536 and ends with the escape, which
    holds the rest; entries are at least 1 and sum to 65536.
    """
    y = [table_of(_gaussian_masses(float(scale))) for scale in scale_of_level(torch.arange(LEVELS).double())]
    steps = z_steps(model) / 2**Z_BITS
    z = [
        [table_of(row) for row in prior_likelihood(model.prior, 1 / steps[level][None, :, None, None])]
        for level in range(QUALITIES)
    ]
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
