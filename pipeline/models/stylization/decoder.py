"""Mixing of the hidden states, and the decoder that paints.

    N  = (H1 - mean) / spread                      the one normalisation point; its statistics are inputs
    H2 = spread(s) * N + mean(s) + U M(s) V N      a style s: statistics, and a matrix that mixes channels
    Mix = alpha * H1 + beta * H2
    Mix -- block -+- conv / 2 -- block x m -- 1x1, x2 -+- block -- conv, x2 -- conv, conv, shuffle -- x_hat
                  +------------------------------------+

Blocks are modulated by the style in proportion to beta; at (1, 0) nothing of it is left and the decoder
gives the content back. All maps from s are linear: a weighted mean of styles is a style.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.models.stylization.shape import Shape


def _wide(x: Tensor) -> Tensor:
    return x[:, :, None, None]


class ModulatedBlock(nn.Module):
    """x + conv(relu(conv(x) * (1 + beta * gain(s)) + beta * shift(s)))."""

    def __init__(self, channels: int, style_size: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        self.modulation = nn.Linear(style_size, 2 * channels)
        with torch.no_grad():
            self.second.weight.mul_(0.5)
            self.modulation.weight.mul_(0.3)

    def forward(self, x: Tensor, styled: Tensor) -> Tensor:
        """x: (B, C, h, w). styled: beta * (1, s), (B, 1 + S), so that beta scales the biases too."""
        gain, shift = _linear(self.modulation, styled).chunk(2, dim=1)
        out: Tensor = x + self.second(F.relu(self.first(x) * _wide(1 + gain) + _wide(shift)))
        return out


def _linear(layer: nn.Linear, styled: Tensor) -> Tensor:
    beta, style = styled[:, :1], styled[:, 1:]
    return F.linear(style, layer.weight) + beta * layer.bias


class Mix(nn.Module):
    """alpha * H1 + beta * H2."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        c, rank = shape.channels, shape.colour_rank
        self.channels, self.rank = c, rank
        self.statistics = nn.Linear(shape.style_size, 2 * c)
        self.matrix = nn.Linear(shape.style_size, rank * rank)
        self.narrow = nn.Conv2d(c, rank, 1, bias=False)
        self.widen = nn.Conv2d(rank, c, 1, bias=False)
        with torch.no_grad():
            self.statistics.weight.mul_(0.1)
            self.statistics.weight[:, : 2 * c] += torch.eye(2 * c)
            self.statistics.bias.zero_()
            self.matrix.weight.mul_(0.1)

    def forward(self, h1: Tensor, known: tuple[Tensor, Tensor], alpha: Tensor, styled: Tensor) -> Tensor:
        normal = (h1 - _wide(known[0])) / _wide(known[1])
        style_mean, style_spread = _linear(self.statistics, styled).chunk(2, dim=1)
        matrix = _linear(self.matrix, styled).reshape(-1, self.rank, self.rank)
        low = self.narrow(normal)
        turned = torch.matmul(matrix, low.flatten(2)).reshape(low.shape)
        scaled = normal * _wide(style_spread) + _wide(style_mean)
        out: Tensor = _wide(alpha) * h1 + scaled + self.widen(turned)
        return out


class Decoder(nn.Module):
    """H1, its statistics, alpha, beta and a style to an image around [0, 1] (not clipped)."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        c, deep, half, tail = shape.channels, shape.deep_channels, shape.channels // 2, shape.tail_channels
        self.mix = Mix(shape)
        self.enter = ModulatedBlock(c, shape.style_size)
        self.down = nn.Conv2d(c, deep, 3, stride=2, padding=1)
        self.deep = nn.ModuleList(ModulatedBlock(deep, shape.style_size) for _ in range(shape.deep_blocks))
        self.up = nn.Conv2d(deep, c, 1)
        self.leave = ModulatedBlock(c, shape.style_size)
        self.to_half = nn.Conv2d(c, half, 3, padding=1)
        self.smooth = nn.Conv2d(half, tail, 3, padding=1)
        self.head = nn.Conv2d(tail, 12, 3, padding=1)
        with torch.no_grad():  # the four pixels of a cell start equal: no grid (ICNR, Aitken et al. 2017)
            self.head.weight.copy_(self.head.weight[::4].repeat_interleave(4, dim=0))
            self.head.bias.zero_()  # type: ignore[union-attr]

    def forward(
        self, h1: Tensor, known: tuple[Tensor, Tensor], strength: tuple[Tensor, Tensor], style: Tensor
    ) -> Tensor:
        """Paints.

        Args:
            h1: (B, C, 2h, 2w).
            known: Mean and standard deviation (above 0) of the whole content picture's H1, (B, C) each.
            strength: alpha and beta, (B, 1) each.
            style: (B, S).

        Returns:
            (B, 3, 8h, 8w).
        """
        alpha, beta = strength
        styled = beta * torch.cat([torch.ones_like(beta), style], dim=1)
        x = self.enter(self.mix(h1, known, alpha, styled), styled)
        inner = F.relu(self.down(x))
        for block in self.deep:
            inner = block(inner, styled)
        x = x + F.interpolate(self.up(inner), scale_factor=2.0, mode="nearest")
        x = F.relu(self.to_half(self.leave(x, styled)))
        x = F.relu(self.smooth(F.interpolate(x, scale_factor=2.0, mode="nearest")))
        return F.pixel_shuffle(self.head(x), 2) + 0.5
