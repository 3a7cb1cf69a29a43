"""What coding costs: bits and distortion in one number, in training and on the dev set."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn


def rate_distortion_cost(x: Tensor, x_hat: Tensor, bits: Tensor, weight: Tensor | float) -> Tensor:
    """Bits a pixel + weight * 255^2 * MSE, shape (B,): what the output and the latent of each image cost."""
    bpp = bits / (x.shape[2] * x.shape[3])
    mse = (x - x_hat).square().mean(dim=(1, 2, 3))
    return bpp + weight * 255**2 * mse


@torch.no_grad()
def evaluate_at(
    model: nn.Module,
    images: list[Tensor],
    rates: Sequence[tuple[float, float]],
    parts: Mapping[str, Callable[[Any], Tensor]],
) -> dict[str, Any]:
    """Mean estimated bits and PSNR of whole images at some rates, and the mean cost over all.

    Args:
        model: Gives a `Coded` with `x_hat` and `bits`.
        images: Float (1, 3, H, W) in [0, 1], whole cells.
        rates: Each a rate t and its lambda.
        parts: Bits to give beside "bpp", taken from the `Coded`, by the name of their own "..._bpp".
    """
    model.eval()
    found, costs = [], []
    for t, weight in rates:
        sums = dict.fromkeys(("bpp", *parts, "psnr_db"), 0.0)
        for x in images:
            coded = model(x, torch.tensor([t]))
            x_hat = coded.x_hat.clamp(0, 1).mul(255).round().div(255)
            pixels = x.shape[2] * x.shape[3]
            sums["bpp"] += float(coded.bits) / pixels
            for name, bits_of in parts.items():
                sums[name] += float(bits_of(coded)) / pixels
            sums["psnr_db"] -= 10 * math.log10(max(float((x - x_hat).square().mean()), 1e-10))
            costs.append(float(rate_distortion_cost(x, x_hat, coded.bits, weight)))
        means = {name: total / len(images) for name, total in sums.items()}
        found.append({"t": t, "lambda": weight, **means})
    return {"rates": found, "cost": sum(costs) / len(costs)}
