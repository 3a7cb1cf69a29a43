"""A prior that knows each channel of y by its own density and nothing of the neighbours.

Ballé et al., "Variational image compression with a scale hyperprior" (ICLR 2018), call it fully factorised;
here the density is a mixture of logistic distributions instead of their small network, so that the integer
tables for any gain follow from its distribution function.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

COMPONENTS = 3
_LEAST_LIKELIHOOD = 2.0**-24


class FactorisedPrior(nn.Module):
    """Density of y (before the gain), channel by channel.

    As the gain is applied after the encoder, one density serves every quality: a symbol q = round(gain * y)
    has the probability F((q + 1/2) / gain) - F((q - 1/2) / gain).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        spread = torch.tensor([-1.5, -0.3, 0.6])  # log of each component's scale against the channel's own
        self.log_scale = nn.Parameter(spread.repeat(channels, 1))
        self.logit_weight = nn.Parameter(torch.zeros(channels, COMPONENTS))
        self.mean = nn.Parameter(torch.zeros(channels))

    @torch.no_grad()
    def start_from_deviation(self, deviation: Tensor) -> None:
        """Sets the scales from each channel's standard deviation, shape (channels,)."""
        logistic_scale = (
            deviation * math.sqrt(3) / math.pi
        )  # a logistic variable's deviation is s * pi / sqrt(3)
        self.log_scale.add_(logistic_scale.log()[:, None])

    def likelihood(self, symbols: Tensor, gain: Tensor) -> Tensor:
        """Probability of each symbol.

        Args:
            symbols: gain * y, rounded or with uniform noise, float (B, C, H, W).
            gain: float (B, C, 1, 1).

        Returns:
            Float (B, C, H, W) in (0, 1], at least 2**-24.
        """
        centred = (symbols - self.mean[None, :, None, None] * gain).abs()  # symmetric: the left tail is exact
        scale = self.log_scale.exp()
        weight = self.logit_weight.softmax(dim=1)
        total = torch.zeros_like(symbols)
        for k in range(COMPONENTS):
            unit = gain * scale[None, :, k, None, None]
            mass = torch.sigmoid((0.5 - centred) / unit) - torch.sigmoid((-0.5 - centred) / unit)
            total = total + weight[None, :, k, None, None] * mass
        return total.clamp_min(_LEAST_LIKELIHOOD)

    def bits(self, symbols: Tensor, gain: Tensor) -> Tensor:
        """Information of each batch entry's symbols in bits, shape (B,)."""
        return -self.likelihood(symbols, gain).log2().sum(dim=(1, 2, 3))
