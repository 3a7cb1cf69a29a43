"""Bits of residuals under zero-mean Gaussians of 64 scales."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pipeline.models.compression.straight_through import clamp_inward

LEVELS = 64
SMALLEST_SCALE = 0.11
SCALE_BITS = 8  # log2 of scales is carried in units of 2^-8
LEVEL_STEP = 1756  # levels an octave in units of 2^-8, so that level 63 is a scale of 64
LEVELS_AN_OCTAVE = LEVEL_STEP / 2**8
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
