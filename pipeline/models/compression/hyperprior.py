"""What is known of y before it is decoded: z on the grid of 1/64; from it a mean and a scale for each value.

y, divided by its usual spread at this rate, goes through the hyper-encoder h_a to z, which is coded with
fixed tables. From z the entropy parameters follow, in integers (see `exact`): for each value of y a scale and
a mean (Minnen, Ballé and Toderici, "Joint autoregressive and hierarchical priors", NeurIPS 2018).

One half of the residuals, a checkerboard that starts white in even channels and black in odd ones, is coded
from these alone. The other half is coded after it and corrects both with what the first half has told: each
value sees its four neighbours in its own channels, and the other channels at its own place (the two-step
prior of DCVC-RT, Jia et al., CVPR 2025, here on integer residuals, so that it is exact, too).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.models.blocks import RateCurve
from pipeline.models.compression.exact import ExactConv, activate
from pipeline.models.compression.shape import Shape
from pipeline.models.compression.straight_through import clamp_inward

Z_BITS = 4  # z is a multiple of 2^-4 after its quantiser's step
LARGEST_Z = 1023
MEAN_BITS = 10  # means, in units of the usual spread, are multiples of 2^-10
LARGEST_RESIDUAL = 31  # what the context sees of a residual


class HyperEncoder(nn.Module):
    """h_a: y in units of its usual spread, (B, M, 4h, 4w), to z, (B, Z, h, w)."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        width = 192
        self.squeeze = nn.Conv2d(shape.latent_channels, width, 1)
        self.look = nn.Conv2d(width, width, 3, padding=1, padding_mode="replicate", groups=width)
        self.down = nn.Conv2d(4 * width, width, 1)
        self.look_wide = nn.Conv2d(width, width, 3, padding=1, padding_mode="replicate", groups=width)
        self.down_again = nn.Conv2d(4 * width, shape.hyper_channels, 1)
        self.bias = RateCurve(shape.anchors, width)

    def forward(self, y: Tensor, t: Tensor) -> Tensor:
        return self.with_bias(y, self.bias(t))

    def with_bias(self, y: Tensor, bias: Tensor) -> Tensor:
        """The same with the rate's bias, (B, width, 1, 1), given."""
        x = F.relu(self.squeeze(y) + bias)
        x = F.relu(self.down(F.pixel_unshuffle(x + self.look(x), 2)))
        out: Tensor = self.down_again(F.pixel_unshuffle(x + self.look_wide(x), 2))
        return out


class EntropyParameters(nn.Module):
    """z, (B, Z, h, w), to relative log2 scales and means, both (B, M, 4h, 4w)."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        narrow, wide = shape.entropy_channels // 2, shape.entropy_channels
        self.widen = ExactConv(shape.hyper_channels, 4 * narrow, input_bits=Z_BITS)
        self.look_wide = ExactConv(narrow, narrow, depthwise=True)
        self.mix_wide = ExactConv(narrow, wide)
        self.widen_again = ExactConv(wide, 4 * wide)
        self.look = ExactConv(wide, wide, depthwise=True)
        self.mix = ExactConv(wide, wide)
        self.look_again = ExactConv(wide, wide, depthwise=True)
        self.mix_again = ExactConv(wide, wide)
        self.scale = ExactConv(wide, shape.latent_channels)
        self.mean = ExactConv(wide, shape.latent_channels)
        self.low_bias = RateCurve(shape.anchors, 4 * narrow)
        self.high_bias = RateCurve(shape.anchors, wide)
        for last in (self.scale, self.mean):
            nn.init.zeros_(last.conv.weight)

    def forward(self, z: Tensor, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Scales (log2 against the usual spread), means (in units of the usual spread), and features."""
        quantised = self.widen.quantised
        x = F.pixel_shuffle(activate(self.widen(z, self.low_bias(t)), quantised=quantised), 2)
        x = activate(self.look_wide(x), quantised=quantised)
        x = activate(self.mix_wide(x), quantised=quantised)
        x = F.pixel_shuffle(activate(self.widen_again(x), quantised=quantised), 2)
        x = activate(self.look(x), quantised=quantised)
        x = activate(self.mix(x, self.high_bias(t)), quantised=quantised)
        x = activate(self.look_again(x), quantised=quantised)
        x = activate(self.mix_again(x), quantised=quantised)
        return self.scale(x), self.mean(x), x


class Context(nn.Module):
    """Residuals of the first half, (B, M, h, w), to corrections of scales and means for the second."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        width = shape.context_channels
        self.squeeze = ExactConv(shape.latent_channels, width, input_bits=0)
        self.look = ExactConv(width, width, depthwise=True)
        self.mix = ExactConv(width + shape.entropy_channels, width)
        self.scale = ExactConv(width, shape.latent_channels)
        self.mean = ExactConv(width, shape.latent_channels)
        for last in (self.scale, self.mean):
            nn.init.zeros_(last.conv.weight)

    def forward(self, residual: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
        """Corrections in the units of `EntropyParameters`; `features` are its third result."""
        quantised = self.squeeze.quantised
        limited = clamp_inward(residual, -LARGEST_RESIDUAL, LARGEST_RESIDUAL)
        x = activate(self.squeeze(limited), quantised=quantised)
        x = activate(self.look(x), quantised=quantised)
        x = activate(self.mix(torch.cat([x, features], dim=1)), quantised=quantised)
        return self.scale(x), self.mean(x)


def first_half(values: Tensor) -> Tensor:
    """1 where a value of (B, M, h, w) belongs to the half that is coded first, else 0; shape (1, M, h, w)."""
    channel, row, column = (torch.arange(size, device=values.device) for size in values.shape[1:])
    parity = (channel[:, None, None] + row[None, :, None] + column[None, None, :]) % 2
    return (1 - parity)[None].to(values.dtype)
