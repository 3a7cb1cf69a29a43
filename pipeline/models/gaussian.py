"""Bits of residuals under zero-mean Gaussians of 64 scales."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pipeline.models.straight_through import clamp_inward

LEVELS = 64
SMALLEST_SCALE, LARGEST_SCALE = 0.11, 64.0
LEVELS_AN_OCTAVE = (LEVELS - 1) / math.log2(LARGEST_SCALE / SMALLEST_SCALE)
_LEAST_LIKELIHOOD = 1e-9


def level_of_log2_scale(log2_scale: Tensor) -> Tensor:
    """The (fractional) level, 0 to 63, of a scale given as its base-2 logarithm."""
    return clamp_inward((log2_scale - math.log2(SMALLEST_SCALE)) * LEVELS_AN_OCTAVE, 0.0, LEVELS - 1.0)


def scale_of_level(level: Tensor) -> Tensor:
    """Standard deviation of a level's Gaussian."""
    return SMALLEST_SCALE * torch.exp2(level / LEVELS_AN_OCTAVE)


def residual_bits(residual: Tensor, level: Tensor) -> Tensor:
    """Information of each residual (rounded, or with noise) in bits, float, same shape."""
    scaled = math.sqrt(0.5) / scale_of_level(level)
    distance = residual.abs()
    upper, lower = torch.erfc((distance - 0.5) * scaled), torch.erfc((distance + 0.5) * scaled)
    likelihood = clamp_inward((upper - lower) * 0.5, _LEAST_LIKELIHOOD, 2.0)
    return -likelihood.log2()
