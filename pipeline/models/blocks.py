"""Parts that the networks share: a depthwise residual block, and curves over the rate."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

STRIDE = 8  # pixels a cell of the blocks' grid
PATCH = 3 * STRIDE * STRIDE
QUALITIES = 100


class DepthBlock(nn.Module):
    """Two residual branches: 1x1, depthwise 3x3, 1x1 (space); 1x1 to twice the channels and back (mixing).

    After DCVC-RT (Jia et al., CVPR 2025): memory traffic, not arithmetic, is what such a network waits for.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.space_in = nn.Conv2d(channels, channels, 1)
        self.space_depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.space_out = nn.Conv2d(channels, channels, 1)
        self.mix_in = nn.Conv2d(channels, 2 * channels, 1)
        self.mix_out = nn.Conv2d(2 * channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.space_out(self.space_depthwise(F.relu(self.space_in(x))))
        out: Tensor = x + self.mix_out(F.relu(self.mix_in(x)))
        return out


def silence(module: nn.Module) -> None:
    """Zeroes the end of every residual branch: the blocks then pass on what they are given."""
    for block in module.modules():
        if isinstance(block, DepthBlock):
            for last in (block.space_out, block.mix_out):
                nn.init.zeros_(last.weight)
                nn.init.zeros_(last.bias)  # type: ignore[arg-type]


def rate_of_quality(quality: Tensor) -> Tensor:
    """The rate t in [0, 1] of a quality from 1 to 100."""
    return (quality - 1) / (QUALITIES - 1)


def between_anchors(anchors: Tensor, t: Tensor) -> Tensor:
    """Rows of anchors, (A, C), at rates t in [0, 1], (B,), linear in between; shape (B, C, 1, 1)."""
    last = anchors.shape[0] - 1
    position = t.clamp(0, 1) * last
    low = position.floor().long().clamp(max=last - 1)
    part = (position - low)[:, None]
    return (anchors[low] * (1 - part) + anchors[low + 1] * part)[:, :, None, None]


class RateCurve(nn.Module):
    """A number for each channel at every rate t in [0, 1], linear between learned anchors.

    Used for logarithms (gains, quantiser steps, spreads) and for biases.
    """

    def __init__(self, anchors: int, channels: int) -> None:
        super().__init__()
        self.anchor = nn.Parameter(torch.zeros(anchors, channels))

    def forward(self, t: Tensor) -> Tensor:
        """Values of shape (B, C, 1, 1) for rates of shape (B,)."""
        return between_anchors(self.anchor, t)
