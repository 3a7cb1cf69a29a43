"""The two float networks: pixels to y on the grid of 1/16, and back. All their blocks work on that of 1/8.

x -- PixelUnshuffle(8) -- stem 1x1 -- DepthBlock x k -- 3x3 with stride 2 -- y             (g_a)
x_hat -- PixelShuffle(8) -- 1x1 -- DepthBlock x k -- PixelShuffle(2) -- 1x1 -- y_hat       (g_s)
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.models.blocks import PATCH, STRIDE, DepthBlock
from pipeline.models.compression.shape import Shape


class Encoder(nn.Module):
    """g_a: image in [0, 1], (B, 3, 16h, 16w), to y, (B, M, h, w)."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.stem = nn.Conv2d(PATCH, shape.channels, 1)
        self.blocks = nn.Sequential(*(DepthBlock(shape.channels) for _ in range(shape.encoder_blocks)))
        self.head = nn.Conv2d(shape.channels, shape.latent_channels, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.blocks(self.stem(F.pixel_unshuffle(x - 0.5, STRIDE))))
        return out


class Decoder(nn.Module):
    """g_s: y_hat, (B, M, h, w), to an image around [0, 1] (not clipped), (B, 3, 16h, 16w)."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.stem = nn.Conv2d(shape.latent_channels, 4 * shape.channels, 1)
        self.blocks = nn.Sequential(*(DepthBlock(shape.channels) for _ in range(shape.decoder_blocks)))
        self.head = nn.Conv2d(shape.channels, PATCH, 1)

    def forward(self, y_hat: Tensor) -> Tensor:
        x = F.pixel_shuffle(self.stem(y_hat), 2)
        return F.pixel_shuffle(self.head(self.blocks(x)), STRIDE) + 0.5
