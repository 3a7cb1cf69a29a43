"""Convolutions that can be computed exactly, on any machine: integers carried in float32.

Weights are integers of 8 bits times a power of two for each output channel, activations are multiples of
1/32 from 0 to 255/32. All sums then are integers (times a power of two) below 2^24, which float32 holds
exactly, so that neither order nor hardware changes a bit (checked at export). Only 1x1 and depthwise
convolutions are used: no library computes those through transforms.

Until `quantised` is switched on, the layers compute with unrounded weights and activations, and training is
that of an ordinary network; then rounding takes place in the forward pass and gradients ignore it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.models.compression.straight_through import clamp_inward, round_through

ACTIVATION_BITS = 5  # activations are multiples of 2^-5
LARGEST_ACTIVATION = 255
LARGEST_WEIGHT = 127
_EXPONENTS = (-4, 14)


class ExactConv(nn.Module):
    """A 1x1 or a depthwise 3x3 convolution (borders repeated); bias may depend on the rate.

    Attributes:
        input_bits: Inputs are multiples of 2^-input_bits.
    """

    def __init__(
        self, inputs: int, outputs: int, *, depthwise: bool = False, input_bits: int = ACTIVATION_BITS
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3 if depthwise else 1, groups=inputs if depthwise else 1)
        self.depthwise, self.input_bits = depthwise, input_bits
        self.quantised = False
        nn.init.zeros_(self.conv.bias)  # type: ignore[arg-type]
        if depthwise:
            nn.init.normal_(self.conv.weight, std=0.05)
            with torch.no_grad():
                self.conv.weight[:, 0, 1, 1] += 1
        else:
            nn.init.kaiming_normal_(self.conv.weight)

    def exponents(self) -> Tensor:
        """For each output channel the p for which weights are round(w 2^p), at most 127 in magnitude."""
        largest = self.conv.weight.detach().abs().amax(dim=(1, 2, 3)).clamp_min(2.0**-20)
        return torch.floor((LARGEST_WEIGHT / largest).log2()).clamp(*_EXPONENTS)

    def forward(self, x: Tensor, extra_bias: Tensor | None = None) -> Tensor:
        """(B, C, h, w) to (B, C', h, w); extra_bias is (B, C', 1, 1)."""
        weight, bias = self.conv.weight, self.conv.bias[None, :, None, None]  # type: ignore[index]
        if extra_bias is not None:
            bias = bias + extra_bias
        if self.quantised:
            unit = torch.exp2(-self.exponents())
            weight = round_through(weight / unit[:, None, None, None]) * unit[:, None, None, None]
            bias_unit = unit[None, :, None, None] * 2.0**-self.input_bits
            bias = round_through(bias / bias_unit) * bias_unit
        if self.depthwise:
            x = F.pad(x, (1, 1, 1, 1), mode="replicate")
        return F.conv2d(x, weight, groups=self.conv.groups) + bias


def activate(x: Tensor, *, quantised: bool) -> Tensor:
    """ReLU with a ceiling; when quantised, rounded to a multiple of 2^-ACTIVATION_BITS."""
    if quantised:
        x = round_through(x * 2.0**ACTIVATION_BITS) * 2.0**-ACTIVATION_BITS
    return clamp_inward(x, 0.0, LARGEST_ACTIVATION * 2.0**-ACTIVATION_BITS)


def set_quantised(module: nn.Module, quantised: bool) -> None:
    """Switches rounding on or off in every exact layer."""
    for part in module.modules():
        if isinstance(part, ExactConv):
            part.quantised = quantised
