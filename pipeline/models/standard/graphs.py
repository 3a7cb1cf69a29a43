"""The networks as they are exported. Latents are handed over on the grid of 1/8: 1024x1024 gives 128x128.

    analysis       pixels -> y                                                       float
    hyper_analysis y, quality -> z, y * gain                                         float
    parameters     z, quality -> for every residual a table and a mean               integers, exact
    context        residuals of the first half -> tables and means for the second    integers, exact
    synthesis      residuals, means, quality -> pixels                               float

`quality` counts from 0 here. Shapes are of one picture or tile of 16h x 16w pixels; N comes first.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.models.blocks import QUALITIES, RateCurve, rate_of_quality
from pipeline.models.standard.exact import LARGEST_ACTIVATION
from pipeline.models.standard.exact_layer import ExactLayer
from pipeline.models.standard.gaussian import LEVEL_STEP, LEVELS, SCALE_BITS, SMALLEST_SCALE
from pipeline.models.standard.hyperprior import LARGEST_RESIDUAL, LARGEST_Z, MEAN_BITS, Z_BITS
from pipeline.models.standard.model import CompressionModel

LARGEST_SYMBOL = 2**15 - 1
_LARGEST_SCALE_UNITS = 2**14 - 1


def of_every_quality(curve: RateCurve) -> Tensor:
    """A curve's values at quality 1 to 100, (Q, C)."""
    t = rate_of_quality(torch.arange(1, QUALITIES + 1, dtype=torch.float32))
    with torch.no_grad():
        values: Tensor = curve(t)
    return values[:, :, 0, 0]


def _pick(table: Tensor, quality: Tensor) -> Tensor:
    return table[quality][:, :, None, None]


def _level(scale_units: Tensor) -> Tensor:
    """Index 0 to 63 of a scale given as log2(scale / 0.11) in units of 2^-8; exact."""
    most = float(math.ceil((LEVELS - 1) * 2 ** (2 * SCALE_BITS) / LEVEL_STEP))
    level = torch.floor(scale_units.clamp(0.0, most) * (LEVEL_STEP * 2.0 ** (-2 * SCALE_BITS)) + 0.5)
    return level.clamp(0.0, LEVELS - 1.0).to(torch.uint8)


class AnalysisGraph(nn.Module):
    """pixels: uint8 (N, 16h, 16w, 3) sRGB. y: float32 (N, M/4, 2h, 2w)."""

    def __init__(self, model: CompressionModel) -> None:
        super().__init__()
        self.g_a = model.g_a

    def forward(self, pixels: Tensor) -> Tensor:
        return F.pixel_shuffle(self.g_a(pixels.permute(0, 3, 1, 2).float() / 255), 2)


class HyperAnalysisGraph(nn.Module):
    """y with h and w multiples of 4. z: int16 (N, Z, h/4, w/4). scaled: float32, y * gain."""

    gain: Tensor
    unspread: Tensor
    bias: Tensor
    unstep: Tensor

    def __init__(self, model: CompressionModel) -> None:
        super().__init__()
        self.h_a = model.h_a
        self.register_buffer("gain", of_every_quality(model.log_gain).exp())
        self.register_buffer("unspread", torch.exp2(-of_every_quality(model.log2_spread)))
        self.register_buffer("bias", of_every_quality(model.h_a.bias))
        self.register_buffer("unstep", 2.0**Z_BITS / z_steps(model))

    def forward(self, y: Tensor, quality: Tensor) -> tuple[Tensor, Tensor]:
        scaled = F.pixel_unshuffle(y, 2) * _pick(self.gain, quality)
        z = self.h_a.with_bias(scaled * _pick(self.unspread, quality), _pick(self.bias, quality))
        z = torch.floor(z * _pick(self.unstep, quality) + 0.5)
        limit = float(LARGEST_SYMBOL)
        return z.clamp(-limit, limit).to(torch.int16), F.pixel_shuffle(scaled, 2)


class ParametersGraph(nn.Module):
    """Tables and means for every residual, good for its first half.

    z: int16 (N, Z, h/4, w/4). table: uint8 (N, M/4, 2h, 2w). mean: float32, same shape.
    scale_units, features: what `ContextGraph` goes on from.
    """

    step: Tensor
    spread_units: Tensor
    mean_unit: Tensor

    def __init__(self, model: CompressionModel) -> None:
        super().__init__()
        net = model.parameters_of
        self.register_buffer("step", z_steps(model))
        self.register_buffer("spread_units", spread_units(model))
        self.register_buffer("mean_unit", mean_unit(model))
        most = LARGEST_ACTIVATION
        self.widen = ExactLayer(net.widen, LARGEST_Z, bias_of_quality=of_every_quality(net.low_bias))
        self.look_wide, self.mix_wide = ExactLayer(net.look_wide, most), ExactLayer(net.mix_wide, most)
        self.widen_again, self.look = ExactLayer(net.widen_again, most), ExactLayer(net.look, most)
        self.mix = ExactLayer(net.mix, most, bias_of_quality=of_every_quality(net.high_bias))
        self.look_again, self.mix_again = ExactLayer(net.look_again, most), ExactLayer(net.mix_again, most)
        self.scale = ExactLayer(net.scale, most, SCALE_BITS, ceiling=False)
        self.mean = ExactLayer(net.mean, most, MEAN_BITS, ceiling=False)

    def forward(self, z: Tensor, quality: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        x = (z.float() * _pick(self.step, quality)).clamp(-float(LARGEST_Z), float(LARGEST_Z))
        x = F.pixel_shuffle(self.widen(x, quality), 2)
        x = F.pixel_shuffle(self.widen_again(self.mix_wide(self.look_wide(x))), 2)
        x = self.mix(self.look(x), quality)
        x = self.mix_again(self.look_again(x))
        scale_units = self.scale(x) + _pick(self.spread_units, quality)
        scale_units = scale_units.clamp(-float(_LARGEST_SCALE_UNITS), float(_LARGEST_SCALE_UNITS))
        return (
            F.pixel_shuffle(_level(scale_units), 2),
            F.pixel_shuffle(self.mean(x) * _pick(self.mean_unit, quality), 2),
            scale_units.to(torch.int16),
            x.to(torch.uint8),
        )


class ContextGraph(nn.Module):
    """Tables and means for the second half, from the residuals of the first (zeros elsewhere).

    residual: int16 (N, M/4, 2h, 2w). first_mean: the mean of `ParametersGraph`. table, mean: as there.
    """

    mean_unit: Tensor

    def __init__(self, model: CompressionModel) -> None:
        super().__init__()
        net = model.context
        most = LARGEST_ACTIVATION
        self.register_buffer("mean_unit", mean_unit(model))
        self.squeeze = ExactLayer(net.squeeze, LARGEST_RESIDUAL)
        self.look, self.mix = ExactLayer(net.look, most), ExactLayer(net.mix, most)
        self.scale = ExactLayer(net.scale, most, SCALE_BITS, ceiling=False)
        self.mean = ExactLayer(net.mean, most, MEAN_BITS, ceiling=False)

    def forward(
        self, residual: Tensor, first_mean: Tensor, features: Tensor, scale_units: Tensor, quality: Tensor
    ) -> tuple[Tensor, Tensor]:
        limit = float(LARGEST_RESIDUAL)
        x = self.squeeze(F.pixel_unshuffle(residual.float().clamp(-limit, limit), 2))
        x = self.mix(torch.cat([self.look(x), features.float()], dim=1))
        level = _level(scale_units.float() + self.scale(x))
        correction = self.mean(x) * _pick(self.mean_unit, quality)
        return F.pixel_shuffle(level, 2), first_mean + F.pixel_shuffle(correction, 2)


class SynthesisGraph(nn.Module):
    """Pixels, uint8 (N, 16h, 16w, 3), of residual, int16, and mean, float32, both (N, M/4, 2h, 2w)."""

    identity: Tensor
    inverse_gain: Tensor

    def __init__(self, model: CompressionModel) -> None:
        super().__init__()
        self.g_s = model.g_s
        self.register_buffer("identity", torch.ones(model.shape.channels, 1, 1, 1))
        self.register_buffer("inverse_gain", of_every_quality(model.log_inverse_gain).exp())

    def forward(self, residual: Tensor, mean: Tensor, quality: Tensor) -> Tensor:
        y_hat = F.pixel_unshuffle(residual.float() + mean, 2) * _pick(self.inverse_gain, quality)
        x_hat: Tensor = (self.g_s(y_hat, self.identity) * 255).round().clamp(0, 255).to(torch.uint8)
        return x_hat.permute(0, 2, 3, 1)


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
