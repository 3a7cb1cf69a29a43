"""The orthonormal transform that packs most energy into the first channels."""

from __future__ import annotations

import torch
from torch import Tensor


def karhunen_loeve(samples: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and KLT of samples, (dimensions, count), computed in float64.

    Returns:
        Mean (d,), eigenvectors as rows (d, d) with the strongest first, and their variances (d,).
    """
    samples = samples.double()
    mean = samples.mean(dim=1)
    centred = samples - mean[:, None]
    variances, vectors = torch.linalg.eigh(centred @ centred.T / samples.shape[1])
    return mean.float(), vectors.flip(1).T.float(), variances.flip(0).clamp_min(1e-9).float()
