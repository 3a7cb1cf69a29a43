"""The content encoder: pixels to the hidden state H1.

    x -- conv 6x6 / 2 -- conv 3x3 / 2 -- residual block x n -- H1 [C, H/4, W/4]

No normalisation: what a cell becomes depends on its neighbourhood only, so tiles with a halo give exactly
what the whole picture gives.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.models.stylization.shape import Shape


class ResidualBlock(nn.Module):
    """x + conv(relu(conv(x))), 3x3, no normalisation."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.second.bias)  # type: ignore[arg-type]
        with torch.no_grad():
            self.second.weight.mul_(0.5)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.second(F.relu(self.first(x)))
        return out


class ContentEncoder(nn.Module):
    """Image in [0, 1], (B, 3, 8h, 8w), to H1, (B, C, 2h, 2w)."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        half = shape.channels // 2
        # Six by six at stride 2 is a space-to-depth and a 3x3 convolution in one.
        self.stem = nn.Conv2d(3, half, 6, stride=2, padding=2)
        self.down = nn.Conv2d(half, shape.channels, 3, stride=2, padding=1)
        self.blocks = nn.Sequential(*(ResidualBlock(shape.channels) for _ in range(shape.encoder_blocks)))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.blocks(F.relu(self.down(F.relu(self.stem(x - 0.5)))))
        return out
