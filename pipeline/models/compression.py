"""The compression network: a convolutional autoencoder on one grid of 1/8 of the image's size.

    x ── PixelUnshuffle(8) ── stem 1x1 ── DepthBlock x k ── 1x1 ── y ── * gain ── round ── q   (g_a)
                                                                                      │ entropy coder
    x_hat ── PixelShuffle(8) ── 1x1 ── DepthBlock x k ── 1x1 ── y_hat ── * inverse gain ── q    (g_s)

1024x1024x3 becomes 128x128xC. Every operation sees a bounded neighbourhood: k blocks look k cells (8k
pixels) to each side. 1x1 and depthwise 3x3 convolutions with ReLU only, after the measurements of DCVC-RT
(Jia et al., CVPR 2025): memory traffic, not arithmetic, is what such a network waits for.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.models.blocks import PATCH, STRIDE, DepthBlock, between_anchors
from pipeline.models.factorised_prior import FactorisedPrior

LAMBDA_RANGE = (0.0006, 0.2)  # weight of 255^2 * MSE against bits a pixel, at quality 1 and 100


@dataclass(frozen=True)
class Shape:
    """Size of a network. Channels in the trunk and in y, blocks in each half, anchors of the gain curve."""

    channels: int = 96
    latent_channels: int = 96
    blocks: int = 3
    anchors: int = 8


class Encoder(nn.Module):
    """g_a: image in [0, 1], (B, 3, 8h, 8w), to y, (B, C, h, w)."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.stem = nn.Conv2d(PATCH, shape.channels, 1)
        self.blocks = nn.Sequential(*(DepthBlock(shape.channels) for _ in range(shape.blocks)))
        self.head = nn.Conv2d(shape.channels, shape.latent_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.blocks(self.stem(F.pixel_unshuffle(x - 0.5, STRIDE))))
        return out


class Decoder(nn.Module):
    """g_s: y_hat, (B, C, h, w), to an image around [0, 1] (not clipped), (B, 3, 8h, 8w)."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.stem = nn.Conv2d(shape.latent_channels, shape.channels, 1)
        self.blocks = nn.Sequential(*(DepthBlock(shape.channels) for _ in range(shape.blocks)))
        self.head = nn.Conv2d(shape.channels, PATCH, 1)

    def forward(self, y_hat: Tensor) -> Tensor:
        return F.pixel_shuffle(self.head(self.blocks(self.stem(y_hat))), STRIDE) + 0.5


class GainCurve(nn.Module):
    """A gain for each channel at every rate t in [0, 1], log-linear between learned anchors."""

    def __init__(self, anchors: int, channels: int) -> None:
        super().__init__()
        self.log_gain = nn.Parameter(torch.zeros(anchors, channels))

    def forward(self, t: Tensor) -> Tensor:
        """Gains of shape (B, C, 1, 1) for rates of shape (B,)."""
        return between_anchors(self.log_gain, t).exp()


@dataclass(frozen=True)
class Coded:
    """What training needs of one pass: x_hat (B, 3, H, W) and the bits of each image, (B,)."""

    x_hat: Tensor
    bits: Tensor


class CompressionModel(nn.Module):
    """Encoder, gains, prior and decoder: everything that is trained together."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.g_a = Encoder(shape)
        self.g_s = Decoder(shape)
        self.gain = GainCurve(shape.anchors, shape.latent_channels)
        self.inverse_gain = GainCurve(shape.anchors, shape.latent_channels)
        self.prior = FactorisedPrior(shape.latent_channels)

    def forward(self, x: Tensor, t: Tensor) -> Coded:
        """Codes images at rates t.

        In training the rate is that of y with uniform noise (smooth), while the decoder gets rounded symbols
        with a straight-through gradient (Minnen and Singh, ICIP 2020); otherwise both are of rounded symbols.

        Args:
            x: Images in [0, 1], float (B, 3, 8h, 8w).
            t: Rates in [0, 1], float (B,); 0 is quality 1, 1 is quality 100.
        """
        gain, inverse_gain = self.gain(t), self.inverse_gain(t)
        scaled = self.g_a(x).float() * gain
        rounded = scaled + (scaled.round() - scaled).detach()
        noisy = scaled + torch.rand_like(scaled) - 0.5 if self.training else rounded
        x_hat = self.g_s(rounded * inverse_gain).float()
        return Coded(x_hat=x_hat, bits=self.prior.bits(noisy, gain))


def distortion_weight(t: Tensor) -> Tensor:
    """Lambda at rate t: log-spaced over LAMBDA_RANGE."""
    low, high = LAMBDA_RANGE
    return low * (high / low) ** t


def receptive_field_px(shape: Shape) -> int:
    """Pixels that either half looks beyond its own cell, to each side."""
    return shape.blocks * STRIDE
