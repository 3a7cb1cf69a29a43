"""A start as a linear transform: the network begins as a Karhunen-Loève transform in two stages.

The KLT is the orthonormal transform that packs most energy into the first channels. The encoder's stem takes
the first vectors of 8x8x3 patches, its last convolution those of 2x2 neighbouring cells (in four of its nine
taps); the decoder starts as the transpose of both, and every residual branch ends in zeros. Before the first
step the codec is already a transform codec with uniform quantisers and one Gaussian a channel.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.models.blocks import STRIDE, silence
from pipeline.models.compression.gaussian import SMALLEST_SCALE
from pipeline.models.compression.karhunen_loeve import karhunen_loeve
from pipeline.models.compression.model import CompressionModel, distortion_weight

_Z_DEVIATION = 2.0


@torch.no_grad()
def start_as_klt(model: CompressionModel, images: Tensor) -> None:
    """Sets a fresh model's weights so that it is the KLT codec of these images, (B, 3, 64h, 64w)."""
    cells = F.pixel_unshuffle(images - 0.5, STRIDE)
    mean, vectors, _ = karhunen_loeve(_columns(cells))
    used = vectors[: model.shape.channels]
    _set(model.g_a.stem, used[:, :, None, None], -used @ mean)
    _set(model.g_s.head, used.T[:, :, None, None], mean)
    pairs = F.pixel_unshuffle(F.conv2d(cells, used[:, :, None, None], -used @ mean), 2)
    mean, vectors, variances = karhunen_loeve(_columns(pairs))
    used = vectors[: model.shape.latent_channels]
    kernel = torch.zeros_like(model.g_a.head.weight)
    kernel[:, :, 1:, 1:] = used.reshape(-1, model.shape.channels, 2, 2)
    _set(model.g_a.head, kernel, -used @ mean)
    _set(model.g_s.stem, used.T[:, :, None, None], mean)
    silence(model)
    _start_rates(model, variances[: model.shape.latent_channels].sqrt())
    _start_z(model, images)


def _columns(x: Tensor) -> Tensor:
    return x.permute(1, 0, 2, 3).reshape(x.shape[1], -1)


def _set(conv: nn.Conv2d, weight: Tensor, bias: Tensor) -> None:
    conv.weight.copy_(weight)
    conv.bias.copy_(bias)  # type: ignore[union-attr]


def _start_rates(model: CompressionModel, deviation: Tensor) -> None:
    """Quantiser steps that balance rate and distortion in the high-rate limit, and the scales that follow.

    With bits -1/2 log2 D a coefficient and 3 samples a pixel, the slope of bpp + lambda 255^2 MSE vanishes at
    D = 3 / (2 ln 2 lambda 255^2); a uniform quantiser of step s has D = s^2 / 12.
    """
    t = torch.linspace(0, 1, model.shape.anchors)
    distortion = 3 / (2 * math.log(2) * distortion_weight(t) * 255**2)
    log_step = (0.5 * (12 * distortion).log())[:, None].expand_as(model.log_gain.anchor)
    model.log_gain.anchor.copy_(-log_step)
    model.log_inverse_gain.anchor.copy_(log_step)
    log2_spread = deviation.log2()[None] - log_step / math.log(2)
    model.log2_spread.anchor.copy_(log2_spread.clamp_min(math.log2(SMALLEST_SCALE)))


def _start_z(model: CompressionModel, images: Tensor) -> None:
    """Scales h_a's output, so that z has a spread of a few quantiser steps, and its prior with it."""
    t = torch.full((images.shape[0],), 0.5)
    y = model.g_a(images) * model.log_gain(t).exp() / model.log2_spread(t).exp2()
    z = model.h_a(y, t)
    last = model.h_a.down_again
    factor = _Z_DEVIATION / z.std(dim=(0, 2, 3))
    last.weight.mul_(factor[:, None, None, None])
    last.bias.copy_(-z.mean(dim=(0, 2, 3)) * factor)  # type: ignore[union-attr]
    model.prior.start_from_deviation(torch.full((model.shape.hyper_channels,), _Z_DEVIATION))
