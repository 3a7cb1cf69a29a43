"""Functions whose gradients are not their derivatives: rounding, and limits that a value may leave."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def round_through(x: Tensor) -> Tensor:
    """Rounds; the gradient passes as if it did not (halves go up, as in the exported graphs)."""
    return x + (torch.floor(x + 0.5) - x).detach()


class _Clamp(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, low: float, high: float) -> Tensor:
        ctx.save_for_backward(x)
        ctx.limits = (low, high)
        return x.clamp(low, high)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (x,) = ctx.saved_tensors
        low, high = ctx.limits
        outwards = ((x < low) & (grad > 0)) | ((x > high) & (grad < 0))
        return grad.masked_fill(outwards, 0), None, None


def clamp_inward(x: Tensor, low: float, high: float) -> Tensor:
    """Clamps; outside the limits only gradients that lead back inside pass, so nothing gets stuck there."""
    clamped: Tensor = _Clamp.apply(x, low, high)
    return clamped
