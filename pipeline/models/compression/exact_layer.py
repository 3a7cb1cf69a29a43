"""An `ExactConv` as it is exported: integer weights and biases times a power of two, carried in float32."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.models.compression.exact import ACTIVATION_BITS, LARGEST_ACTIVATION, ExactConv

EXACT_BELOW = 2.0**24  # float32 holds every integer up to here


class NotExactError(ValueError):
    """A sum could leave the range in which float32 is exact."""


class ExactLayer(nn.Module):
    """Integers in, integers out: floor(2^-k (sum of w x + b) + 1/2), for each output channel its k.

    The power of two and the half are folded into weights and bias: a sum is then a whole multiple of 2^-k,
    and as exact as the sum of integers it stands for. With `ceiling`, the result is limited to 0..255 before
    it is rounded down, which is the same and lets ONNX Runtime do it within the convolution.

    Args:
        layer: The trained layer.
        largest_input: Largest magnitude of an input.
        output_bits: Outputs are multiples of 2^-output_bits.
        bias_of_quality: More bias for each quality, float (Q, C'); then `forward` wants quality indices.
        ceiling: Whether this is a hidden layer, with an activation.

    Raises:
        NotExactError: Some sum could reach 2^24.
    """

    weight: Tensor
    bias: Tensor

    def __init__(
        self,
        layer: ExactConv,
        largest_input: int,
        output_bits: int = ACTIVATION_BITS,
        bias_of_quality: Tensor | None = None,
        *,
        ceiling: bool = True,
    ) -> None:
        super().__init__()
        self.depthwise, self.groups, self.ceiling = layer.depthwise, layer.conv.groups, ceiling
        exponents = layer.exponents()
        weight = _nearest(layer.conv.weight.detach() * torch.exp2(exponents)[:, None, None, None])
        bias = layer.conv.bias.detach()[None]  # type: ignore[union-attr]
        if bias_of_quality is not None:
            bias = bias + bias_of_quality.detach()
        bias = _nearest(bias * torch.exp2(exponents + layer.input_bits))
        factor = torch.exp2(output_bits - exponents - layer.input_bits)
        largest = weight.abs().sum(dim=(1, 2, 3)) * largest_input + bias.abs().amax(dim=0) + 0.5 / factor
        if not bool((largest * factor.clamp_min(1) < EXACT_BELOW).all()):
            raise NotExactError(f"a sum could reach {float(largest.max()):.0f}")
        self.register_buffer("weight", weight * factor[:, None, None, None])
        self.register_buffer("bias", bias * factor + 0.5)

    def forward(self, x: Tensor, quality: Tensor | None = None) -> Tensor:
        """(N, C, h, w) to (N, C', h, w); quality is int64 (N,), counted from 0."""
        if self.depthwise:
            x = F.pad(x, (1, 1, 1, 1), mode="replicate")
        if quality is None:
            total = F.conv2d(x, self.weight, self.bias[0], groups=self.groups)
        else:
            total = F.conv2d(x, self.weight, groups=self.groups) + self.bias[quality][:, :, None, None]
        return torch.floor(total.clamp(0.0, LARGEST_ACTIVATION + 0.5) if self.ceiling else total)


def _nearest(x: Tensor) -> Tensor:
    return torch.floor(x + 0.5)
