"""A start as a linear transform: the network begins as the Karhunen-Loève transform of 8x8x3 patches.

The KLT is the orthonormal transform that packs most energy into the first channels. The encoder's stem takes
its first vectors, the decoder's head their transpose, and every residual branch ends in zeros: before the
first step the codec is already a transform codec with uniform quantisers.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.models.blocks import PATCH, STRIDE, silence
from pipeline.models.compression import CompressionModel, distortion_weight


def patch_statistics(images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and KLT of the 8x8x3 patches of images.

    Args:
        images: Float (B, 3, 8h, 8w) in [0, 1].

    Returns:
        Mean (192,), eigenvectors as rows (192, 192) with the strongest first, and their variances (192,).
    """
    cells = F.pixel_unshuffle(images - 0.5, STRIDE)
    return karhunen_loeve(cells.permute(1, 0, 2, 3).reshape(PATCH, -1))


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


@torch.no_grad()
def start_as_klt(model: CompressionModel, images: Tensor) -> None:
    """Sets a fresh model's weights so that it is the KLT codec of these images, (B, 3, 8h, 8w) in [0, 1]."""
    mean, vectors, variances = patch_statistics(images)
    used = vectors[: model.shape.channels]
    model.g_a.stem.weight.copy_(used[:, :, None, None])
    model.g_a.stem.bias.copy_(-used @ mean)  # type: ignore[union-attr]
    model.g_s.head.weight.copy_(used.T[:, :, None, None])
    model.g_s.head.bias.copy_(mean)  # type: ignore[union-attr]
    for linear in (model.g_a.head, model.g_s.stem):
        _make_identity(linear)
    silence(model)
    _start_gains(model)
    model.prior.start_from_deviation(variances[: model.shape.latent_channels].sqrt())


def _make_identity(linear: nn.Conv2d) -> None:
    nn.init.dirac_(linear.weight)
    nn.init.zeros_(linear.bias)  # type: ignore[arg-type]


def _start_gains(model: CompressionModel) -> None:
    """Quantiser steps that balance rate and distortion in the high-rate limit.

    With bits -1/2 log2 D a coefficient, 64 pixels and 192 samples a cell, the slope of bpp + lambda 255^2 MSE
    vanishes at D = 3 / (2 ln 2 lambda 255^2); a uniform quantiser of step s has D = s^2 / 12.
    """
    anchors = torch.linspace(0, 1, model.shape.anchors)
    distortion = 3 / (2 * math.log(2) * distortion_weight(anchors) * 255**2)
    log_step = 0.5 * (12 * distortion).log()
    model.gain.log_gain.copy_(-log_step[:, None].expand_as(model.gain.log_gain))
    model.inverse_gain.log_gain.copy_(log_step[:, None].expand_as(model.inverse_gain.log_gain))
