"""What photographs tell about a trained model: how often residuals occur, how y_hat gives a small picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from export.compression_tables import REACH
from pipeline.codec.halves import Floats
from pipeline.inference.tile_networks import TileNetworks

QUALITIES = (3, 12, 25, 38, 50, 62, 75, 88, 97)
_LEVELS = 64
_RIDGE = 1e-5


def residual_counts(networks: TileNetworks, latents: Sequence[Floats]) -> np.ndarray:
    """int64 (64, 2 REACH + 1): how often residuals from -REACH on are coded with each level's table."""
    counts = np.zeros((_LEVELS, 2 * REACH + 1), np.int64)
    for y, quality in _each(latents):
        ((_, halves),) = networks.symbols([y], quality)
        for residuals, indices in halves:
            place = np.clip(residuals.astype(np.int64), -REACH, REACH) + REACH
            cells = indices.astype(np.int64) * counts.shape[1] + place
            counts += np.bincount(cells, minlength=counts.size).reshape(counts.shape)
    return counts


def fit_reduction(
    networks: TileNetworks, latents: Sequence[Floats], pictures: Sequence[np.ndarray]
) -> tuple[Tensor, Tensor]:
    """The linear map from cells of y_hat to their 2x2 pixels of 1/8 of the size, by least squares.

    Args:
        networks: Code and decode y.
        latents: y of each picture.
        pictures: uint8 (16h, 16w, 3).

    Returns:
        Weight (12, M) and bias (12,) for `ReductionGraph`.
    """
    channels = networks.tables.channels
    gram = torch.zeros(channels + 1, channels + 1, dtype=torch.float64)
    product = torch.zeros(channels + 1, 12, dtype=torch.float64)
    small = {id(y): _small(picture) for y, picture in zip(latents, pictures, strict=True)}
    for y, quality in _each(latents):
        rows, columns = y.shape[1] // 2, y.shape[2] // 2
        (y_hat,) = networks.decode(networks.encode([y], quality), rows, columns, quality)
        cells = F.pixel_unshuffle(torch.from_numpy(y_hat)[None], 2)[0].flatten(1).double()
        cells = torch.cat([cells, torch.ones(1, cells.shape[1], dtype=torch.float64)])
        gram += cells @ cells.T
        product += cells @ small[id(y)].T
    gram += _RIDGE * gram.diagonal().mean() * torch.eye(channels + 1, dtype=torch.float64)
    solved = torch.linalg.solve(gram, product).T.float()
    return solved[:, :-1], solved[:, -1]


def _each(latents: Sequence[Floats]) -> Iterator[tuple[Floats, int]]:
    return ((y, quality) for y in latents for quality in QUALITIES)


def _small(picture: np.ndarray) -> Tensor:
    """Means of 8x8 pixels in [0, 1], (12, cells)."""
    pixels = torch.from_numpy(picture).permute(2, 0, 1)[None].double() / 255
    return F.pixel_unshuffle(F.avg_pool2d(pixels, 8), 2)[0].flatten(1)
