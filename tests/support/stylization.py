"""Stylization networks that a test can afford."""

from __future__ import annotations

from functools import lru_cache

import torch

from pipeline.models.stylization.model import StylizationModel
from pipeline.models.stylization.shape import Shape

SMALL = Shape(
    channels=16,
    deep_channels=16,
    tail_channels=16,
    encoder_blocks=1,
    deep_blocks=1,
    style_size=48,
    colour_rank=4,
)


@lru_cache(maxsize=3)
def untrained(shape: Shape) -> StylizationModel:
    """Random weights, the same each time, in evaluation mode."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return StylizationModel(shape).eval()
