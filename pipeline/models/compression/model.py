"""The compression network, version 1: an autoencoder with a mean-scale hyperprior, one model for every rate.

    x -- g_a -- y -- * gain -- minus mean -- round -- r -- plus mean -- / gain -- y_hat -- g_s -- x_hat
                          |        |                |         |
                          h_a -- z (rounded) -- entropy parameters: a mean and one of 64 scales for each r
                                                (for one half of r corrected by the other: context)

The rate t acts on y only (gain before rounding, its inverse after), never inside g_a: a search over rates
runs g_a once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pipeline.models.blocks import RateCurve
from pipeline.models.compression.gaussian import level_of_log2_scale, residual_bits
from pipeline.models.compression.hyperprior import (
    LARGEST_Z,
    Z_BITS,
    Context,
    EntropyParameters,
    HyperEncoder,
    first_half,
)
from pipeline.models.compression.shape import Shape
from pipeline.models.compression.straight_through import clamp_inward, round_through
from pipeline.models.compression.transforms import Decoder, Encoder
from pipeline.models.factorised_prior import FactorisedPrior

LAMBDA_RANGE = (0.001, 0.2)  # weight of 255^2 * MSE against bits a pixel, at quality 1 and 100


@dataclass(frozen=True)
class Coded:
    """What training needs of one pass: x_hat (B, 3, H, W); bits of y and of z of each image, (B,)."""

    x_hat: Tensor
    y_bits: Tensor
    z_bits: Tensor

    @property
    def bits(self) -> Tensor:
        return self.y_bits + self.z_bits


class CompressionModel(nn.Module):
    """Everything that is trained together.

    Attributes:
        log_gain, log_inverse_gain: Natural logarithms of what multiplies y, and of what multiplies it back.
        log2_spread: Usual scale of y * gain, base 2: the origin of the entropy parameters.
        log_step: Natural logarithm of the step of z's quantiser.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.g_a, self.g_s = Encoder(shape), Decoder(shape)
        self.h_a, self.parameters_of = HyperEncoder(shape), EntropyParameters(shape)
        self.log_gain = RateCurve(shape.anchors, shape.latent_channels)
        self.log_inverse_gain = RateCurve(shape.anchors, shape.latent_channels)
        self.log2_spread = RateCurve(shape.anchors, shape.latent_channels)
        self.log_step = RateCurve(shape.anchors, shape.hyper_channels)
        self.prior = FactorisedPrior(shape.hyper_channels)
        self.context = Context(shape)

    def forward(self, x: Tensor, t: Tensor) -> Coded:
        """Codes images at rates t.

        In training the rate is that of values with uniform noise (smooth), while everything that the decoder
        computes gets rounded values with a straight-through gradient (Minnen and Singh, ICIP 2020).

        Args:
            x: Images in [0, 1], float (B, 3, 64h, 64w).
            t: Rates in [0, 1], float (B,); 0 is quality 1, 1 is quality 100.
        """
        y = self.g_a(x).float()
        with torch.autocast(x.device.type, enabled=False):
            y_hat, y_bits, z_bits = self.code(y, t)
        return Coded(x_hat=self.g_s(y_hat).float(), y_bits=y_bits, z_bits=z_bits)

    def code(self, y: Tensor, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What the decoder gets of y, and the bits of y and z."""
        gain, inverse_gain = self.log_gain(t).exp(), self.log_inverse_gain(t).exp()
        log2_spread = self.log2_spread(t)
        spread = log2_spread.exp2()
        scaled = y * gain
        z_hat, z_bits = self._code_z(self.h_a(scaled / spread, t), t)
        log2_scale, mean, features = self.parameters_of(z_hat, t)
        first = first_half(scaled)
        told = round_through(scaled - mean * spread) * first
        scale_correction, mean_correction = self.context(told, features)
        mean = (mean + mean_correction * (1 - first)) * spread
        log2_scale = log2_scale + scale_correction * (1 - first)
        level = level_of_log2_scale(log2_scale + log2_spread)
        if self.parameters_of.scale.quantised:
            level = round_through(level)
        residual = scaled - mean
        rounded = round_through(residual)
        bits = residual_bits(_noisy(residual) if self.training else rounded, level)
        return (rounded + mean) * inverse_gain, bits.sum(dim=(1, 2, 3)), z_bits

    def _code_z(self, z: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        step = self.log_step(t).exp()
        if self.parameters_of.widen.quantised:
            step = round_through(step * 2**Z_BITS).clamp_min(1) / 2**Z_BITS
        scaled = z / step
        rounded = round_through(scaled)
        bits = self.prior.bits(_noisy(scaled) if self.training else rounded, 1 / step)
        limit = LARGEST_Z / 2**Z_BITS
        return clamp_inward(rounded * step, -limit, limit), bits


def _noisy(x: Tensor) -> Tensor:
    return x + torch.rand_like(x) - 0.5


def distortion_weight(t: Tensor) -> Tensor:
    """Lambda at rate t: log-spaced over LAMBDA_RANGE."""
    low, high = LAMBDA_RANGE
    return low * (high / low) ** t


def rate_of_weight(weight: float) -> float:
    """The rate t whose lambda this is."""
    low, high = LAMBDA_RANGE
    return math.log(weight / low) / math.log(high / low)
