"""The built-in codec and pictures for it."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.core.artifact import built_in_directory
from pipeline.core.operation import LoadedArtifact
from pipeline.inference.artifacts import load_directory
from pipeline.inference.tri_codec import TriCodec


@lru_cache(maxsize=1)
def artifact() -> LoadedArtifact:
    """The compression artifact that ships with the package."""
    return load_directory(built_in_directory("compression"))


@lru_cache(maxsize=1)
def codec() -> TriCodec:
    """Its codec on the CPU."""
    return TriCodec.from_artifact(artifact())


def landscape(height_px: int, width_px: int, seed: int = 0) -> NDArray[np.uint8]:
    """uint8 (H, W, 3): smooth noise at several scales, roughly the statistics of a photograph."""
    random = np.random.default_rng(seed)
    total = np.full((height_px, width_px, 3), 128.0, np.float32)
    for cell, strength in ((64, 40), (16, 14), (4, 4)):
        size = (height_px // cell + 2, width_px // cell + 2, 3)
        noise = (random.normal(0, strength, size) + 128).clip(0, 255).astype(np.uint8)
        large = Image.fromarray(noise).resize((width_px, height_px), Image.Resampling.BICUBIC)
        total += np.asarray(large, np.float32) - 128
    return total.clip(0, 255).astype(np.uint8)
