"""What is known of y before it is decoded: z on the grid of 1/64; from it a mean and a scale for each value.

y, divided by its usual spread at this rate, goes through the hyper-encoder h_a to z, which is coded with
fixed tables. From z the entropy parameters follow, in integers (see `exact`): for each value of y an index
into 64 Gaussian tables and a mean. After Minnen, Ballé and Toderici, "Joint autoregressive and hierarchical priors"
(NeurIPS 2018), without their context model.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.models.blocks import RateCurve
from pipeline.models.exact import ExactConv, activate
from pipeline.models.shape import Shape

Z_BITS = 4  # z is a multiple of 2^-4 after its quantiser's step
LARGEST_Z = 1023


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
        x = F.relu(self.squeeze(y) + self.bias(t))
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

    def forward(self, z: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Scales (log2 against the usual spread) and means (in units of the usual spread)."""
        quantised = self.widen.quantised
        x = F.pixel_shuffle(activate(self.widen(z, self.low_bias(t)), quantised=quantised), 2)
        x = activate(self.look_wide(x), quantised=quantised)
        x = activate(self.mix_wide(x), quantised=quantised)
        x = F.pixel_shuffle(activate(self.widen_again(x), quantised=quantised), 2)
        x = activate(self.look(x), quantised=quantised)
        x = activate(self.mix(x, self.high_bias(t)), quantised=quantised)
        x = activate(self.look_again(x), quantised=quantised)
        x = activate(self.mix_again(x), quantised=quantised)
        return self.scale(x), self.mean(x)
