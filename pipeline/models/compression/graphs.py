"""The networks as they are exported. y and y_hat are handed over on the grid of 1/8: 1024x1024 gives 128x128.

    analysis       pixels -> y                                                              float
    hyper_analysis y, quality -> z                                                          float
    parameters     z, quality -> for every residual a scale and a mean                      integers, exact
    context        residuals of the first half -> corrections of both for the second        integers, exact
    synthesis      y_hat -> pixels                                                          float
    reduction      y_hat -> pixels of 1/8 of the size                                       float

`quality` counts from 0 here. Shapes are of one picture or tile of 16h x 16w pixels; N comes first. Integers are
carried in float32. What lies between the graphs (gains, levels, rounding, the two halves) is done by
`pipeline.codec.halves`, with the numbers that `export.compression_tables` takes from the model.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.models.blocks import QUALITIES, RateCurve, rate_of_quality
from pipeline.models.compression.exact import LARGEST_ACTIVATION
from pipeline.models.compression.exact_layer import ExactLayer
from pipeline.models.compression.gaussian import SCALE_BITS, SMALLEST_SCALE
from pipeline.models.compression.hyperprior import LARGEST_RESIDUAL, LARGEST_Z, MEAN_BITS, Z_BITS
from pipeline.models.compression.model import CompressionModel

LARGEST_SYMBOL = 2**15 - 1


def of_every_quality(curve: RateCurve) -> Tensor:
    """A curve's values at quality 1 to 100, (Q, C)."""
    t = rate_of_quality(torch.arange(1, QUALITIES + 1, dtype=torch.float32))
    with torch.no_grad():
        values: Tensor = curve(t)
    return values[:, :, 0, 0]


def _pick(table: Tensor, quality: Tensor) -> Tensor:
    return table[quality][:, :, None, None]


class AnalysisGraph(nn.Module):
    """pixels: uint8 (N, 16h, 16w, 3) sRGB. y: float32 (N, M/4, 2h, 2w)."""

    def __init__(self, model: CompressionModel) -> None:
        super().__init__()
        self.g_a = model.g_a

    def forward(self, pixels: Tensor) -> Tensor:
        return F.pixel_shuffle(self.g_a(pixels.permute(0, 3, 1, 2).float() / 255), 2)


class HyperAnalysisGraph(nn.Module):
    """y with h and w multiples of 4. z: int16 (N, Z, h/4, w/4)."""

    factor: Tensor
    bias: Tensor
    unstep: Tensor

    def __init__(self, model: CompressionModel) -> None:
        super().__init__()
        self.h_a = model.h_a
        gain, spread = of_every_quality(model.log_gain).exp(), of_every_quality(model.log2_spread).exp2()
        self.register_buffer("factor", gain / spread)
        self.register_buffer("bias", of_every_quality(model.h_a.bias))
        self.register_buffer("unstep", 2.0**Z_BITS / z_steps(model))

    def forward(self, y: Tensor, quality: Tensor) -> Tensor:
        y = F.pixel_unshuffle(y, 2) * _pick(self.factor, quality)
        z = self.h_a.with_bias(y, _pick(self.bias, quality))
        limit = float(LARGEST_SYMBOL)
        return torch.floor(z * _pick(self.unstep, quality) + 0.5).clamp(-limit, limit).to(torch.int16)


class ParametersGraph(nn.Module):
    """Scales and means for every residual, good for its first half.

    z: int16 (N, Z, h/4, w/4). scale: log2 against the usual spread in units of 2^-8, (N, M, h, w). mean: in units
    of 2^-10 of the usual spread, same shape. features: what `ContextGraph` goes on from, 0 to 255.
    """

    step: Tensor

    def __init__(self, model: CompressionModel) -> None:
        super().__init__()
        net = model.parameters_of
        self.register_buffer("step", z_steps(model))
        most = LARGEST_ACTIVATION
        self.widen = ExactLayer(net.widen, LARGEST_Z, bias_of_quality=of_every_quality(net.low_bias))
        self.look_wide, self.mix_wide = ExactLayer(net.look_wide, most), ExactLayer(net.mix_wide, most)
        self.widen_again, self.look = ExactLayer(net.widen_again, most), ExactLayer(net.look, most)
        self.mix = ExactLayer(net.mix, most, bias_of_quality=of_every_quality(net.high_bias))
        self.look_again, self.mix_again = ExactLayer(net.look_again, most), ExactLayer(net.mix_again, most)
        self.scale = ExactLayer(net.scale, most, SCALE_BITS, ceiling=False)
        self.mean = ExactLayer(net.mean, most, MEAN_BITS, ceiling=False)

    def forward(self, z: Tensor, quality: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x = (z.float() * _pick(self.step, quality)).clamp(-float(LARGEST_Z), float(LARGEST_Z))
        x = F.pixel_shuffle(self.widen(x, quality), 2)
        x = F.pixel_shuffle(self.widen_again(self.mix_wide(self.look_wide(x))), 2)
        x = self.mix(self.look(x), quality)
        x = self.mix_again(self.look_again(x))
        return self.scale(x), self.mean(x), x


class ContextGraph(nn.Module):
    """Corrections of scales and means, in the units of `ParametersGraph`, for the second half of the residuals.

    told: residuals of the first half, limited to -31..31, zeros elsewhere, float32 (N, M, h, w).
    """

    def __init__(self, model: CompressionModel) -> None:
        super().__init__()
        net, most = model.context, LARGEST_ACTIVATION
        self.squeeze = ExactLayer(net.squeeze, LARGEST_RESIDUAL)
        self.look, self.mix = ExactLayer(net.look, most), ExactLayer(net.mix, most)
        self.scale = ExactLayer(net.scale, most, SCALE_BITS, ceiling=False)
        self.mean = ExactLayer(net.mean, most, MEAN_BITS, ceiling=False)

    def forward(self, told: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
        x = self.mix(torch.cat([self.look(self.squeeze(told)), features], dim=1))
        return self.scale(x), self.mean(x)


class SynthesisGraph(nn.Module):
    """y_hat: float32 (N, M/4, 2h, 2w). pixels: uint8 (N, 16h, 16w, 3)."""

    identity: Tensor

    def __init__(self, model: CompressionModel) -> None:
        super().__init__()
        self.g_s = model.g_s
        self.register_buffer("identity", torch.ones(model.shape.channels, 1, 1, 1))

    def forward(self, y_hat: Tensor) -> Tensor:
        return _to_bytes(self.g_s(F.pixel_unshuffle(y_hat, 2), self.identity))


class ReductionGraph(nn.Module):
    """y_hat to the picture at 1/8 of its size: a linear map of each cell of y to its 2x2 pixels.

    Args:
        weight: Float (12, M), rows in the order of `pixel_shuffle`.
        bias: Float (12,).
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight[:, :, None, None])
        self.register_buffer("bias", bias)

    def forward(self, y_hat: Tensor) -> Tensor:
        return _to_bytes(F.pixel_shuffle(F.conv2d(F.pixel_unshuffle(y_hat, 2), self.weight, self.bias), 2))


def _to_bytes(x_hat: Tensor) -> Tensor:
    return (x_hat * 255).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)


def z_steps(model: CompressionModel) -> Tensor:
    """Steps of z's quantiser in units of 2^-Z_BITS, whole numbers, (Q, Z)."""
    return torch.floor(of_every_quality(model.log_step).exp() * 2**Z_BITS + 0.5).clamp_min(1)


def spread_units(model: CompressionModel) -> Tensor:
    """log2 of the usual spread over 0.11, in units of 2^-SCALE_BITS, whole numbers, (Q, M)."""
    relative = of_every_quality(model.log2_spread) - math.log2(SMALLEST_SCALE)
    return torch.floor(relative * 2**SCALE_BITS + 0.5)


def mean_unit(model: CompressionModel) -> Tensor:
    """What one unit of a mean is worth, float (Q, M)."""
    return torch.exp2(of_every_quality(model.log2_spread)) * 2.0**-MEAN_BITS
