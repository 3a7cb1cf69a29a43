"""The networks as they are exported.

Pixels, y and y_hat are handed over on the grid of 1/8: 1024x1024 pixels give 128x128.

    analysis       pixels -> y                                                              float
    hyper_analysis y in units of its usual spread, quality -> z                             float
    parameters     z, quality -> for every residual a scale and a mean                      integers, exact
    context        residuals of the first half -> corrections of both for the second        integers, exact
    synthesis      y_hat -> pixels                                                          float
    reduction      y_hat -> pixels of 1/8 of the size                                       float

`quality` counts from 0 here. Shapes are of one picture or tile of 16h x 16w pixels; N comes first. Integers
are carried in float32. What lies between the graphs (gains, levels, rounding, the two halves) is done by
`pipeline.codec.halves`, with the numbers that `export.compression_tables` takes from the model.

Pixels are planes here, as `pixel_unshuffle` by 8 orders them (`pipeline.codec.planes`): ONNX Runtime takes
about 5 % of a graph's time to reorder floats, a plain loop over bytes takes 1 %. For the same reason a
`pixel_unshuffle` before a 1x1 convolution becomes a 2x2 convolution with stride 2.
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


def _unshuffling(conv: nn.Conv2d) -> tuple[Tensor, Tensor]:
    """Weight and bias of the 2x2 convolution that is pixel_unshuffle by 2 and then this 1x1 one."""
    weight = conv.weight.detach().reshape(conv.out_channels, -1, 2, 2)
    return weight, conv.bias.detach()  # type: ignore[union-attr]


class AnalysisGraph(nn.Module):
    """planes: uint8 (N, 192, 2h, 2w) of sRGB pixels. y: float32 (N, M/4, 2h, 2w)."""

    weight: Tensor
    bias: Tensor

    def __init__(self, model: CompressionModel) -> None:
        super().__init__()
        stem = model.g_a.stem
        weight = stem.weight.detach()
        self.register_buffer("weight", weight / 255)
        self.register_buffer("bias", stem.bias.detach() - weight.sum(dim=(1, 2, 3)) / 2)  # type: ignore[union-attr]
        self.blocks, self.head = model.g_a.blocks, model.g_a.head

    def forward(self, planes: Tensor) -> Tensor:
        return F.pixel_shuffle(self.head(self.blocks(F.conv2d(planes.float(), self.weight, self.bias))), 2)


class HyperAnalysisGraph(nn.Module):
    """y in units of its usual spread: float32 (N, M, 4h, 4w). z: int16 (N, Z, h, w)."""

    bias: Tensor
    unstep: Tensor
    down_weight: Tensor
    down_bias: Tensor
    down_again_weight: Tensor
    down_again_bias: Tensor

    def __init__(self, model: CompressionModel) -> None:
        super().__init__()
        self.h_a = model.h_a
        self.register_buffer("bias", of_every_quality(model.h_a.bias))
        self.register_buffer("unstep", 2.0**Z_BITS / z_steps(model))
        for name, layer in (("down", model.h_a.down), ("down_again", model.h_a.down_again)):
            weight, bias = _unshuffling(layer)
            self.register_buffer(f"{name}_weight", weight)
            self.register_buffer(f"{name}_bias", bias)

    def forward(self, y: Tensor, quality: Tensor) -> Tensor:
        net = self.h_a
        x = F.relu(net.squeeze(y) + _pick(self.bias, quality))
        x = F.relu(F.conv2d(x + net.look(x), self.down_weight, self.down_bias, stride=2))
        z = F.conv2d(x + net.look_wide(x), self.down_again_weight, self.down_again_bias, stride=2)
        limit = float(LARGEST_SYMBOL)
        return torch.floor(z * _pick(self.unstep, quality) + 0.5).clamp(-limit, limit).to(torch.int16)


class ParametersGraph(nn.Module):
    """Scales and means for every residual, good for its first half.

    z: int16 (N, Z, h/4, w/4). scale: log2 against the usual spread in units of 2^-8, (N, M, h, w). mean: in
    units of 2^-10 of the usual spread, same shape. features: what `ContextGraph` goes on from, 0 to 255.
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
    """Corrections of scales and means for the second half, in the units of `ParametersGraph`.

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
    """y_hat: float32 (N, M/4, 2h, 2w). planes: uint8 (N, 192, 2h, 2w) of pixels."""

    identity: Tensor
    stem_weight: Tensor
    stem_bias: Tensor
    head_weight: Tensor
    head_bias: Tensor

    def __init__(self, model: CompressionModel) -> None:
        super().__init__()
        net = model.g_s
        self.register_buffer("identity", torch.ones(model.shape.channels, 1, 1, 1))
        weight, bias = _unshuffling(net.stem)
        self.register_buffer("stem_weight", weight)
        self.register_buffer("stem_bias", bias)
        self.blocks = net.blocks
        self.register_buffer("head_weight", net.head.weight.detach() * 255)
        self.register_buffer("head_bias", (net.head.bias.detach() + 0.5) * 255 + 0.5)  # type: ignore[union-attr]

    def forward(self, y_hat: Tensor) -> Tensor:
        x = F.pixel_shuffle(F.conv2d(y_hat, self.stem_weight, self.stem_bias, stride=2), 2)
        # Changes nothing but the speed: the output of a convolution has the memory layout that ONNX Runtime
        # prefers, and with it all the sums of the residual branches.
        x = F.conv2d(x, self.identity, groups=self.identity.shape[0])
        return _to_bytes(F.conv2d(self.blocks(x), self.head_weight, self.head_bias))


class ReductionGraph(nn.Module):
    """y_hat to planes of the picture at 1/8, uint8 (N, 3, 2h, 2w): a linear map of each cell of y.

    Args:
        weight: Float (12, M), rows in the order of `pixel_shuffle`; pixels are in [0, 1].
        bias: Float (12,).
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight.reshape(weight.shape[0], -1, 2, 2) * 255)
        self.register_buffer("bias", bias * 255 + 0.5)

    def forward(self, y_hat: Tensor) -> Tensor:
        return _to_bytes(F.pixel_shuffle(F.conv2d(y_hat, self.weight, self.bias, stride=2), 2))


def _to_bytes(x: Tensor) -> Tensor:
    """Rounds, the half being in x already."""
    return x.clamp(0.0, 255.5).to(torch.uint8)


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
