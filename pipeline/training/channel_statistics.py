"""Mean and deviation of feature channels with a backward pass that reads the features once."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

_TINY = 1e-5


class _Statistics(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        wide = x.float()
        mean = wide.mean(dim=(2, 3))
        centred = wide - mean[:, :, None, None]  # not var_mean: it is several times slower on channels-last
        deviation = (centred.mul_(centred).mean(dim=(2, 3)) + _TINY).sqrt()
        ctx.save_for_backward(x, mean, deviation)
        return mean, deviation

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        x, mean, deviation = ctx.saved_tensors
        pixels = x.shape[2] * x.shape[3]
        slope = gradients[1] / (deviation * pixels)
        offset = gradients[0] / pixels - slope * mean
        slope, offset = slope[:, :, None, None].to(x.dtype), offset[:, :, None, None].to(x.dtype)
        return torch.addcmul(offset, x, slope)


def channel_statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation over the picture of (B, C, H, W), each (B, C), float32."""
    mean, deviation = _Statistics.apply(x)
    return mean, deviation
