"""Training crops at random scales: part of a picture, resized to a given side, up or down."""

from __future__ import annotations

import numpy as np
from PIL import Image
from torch import Tensor

from pipeline.training.photos import to_tensor


class ScaledCrops:
    """Draws square crops, every picture as often as any other, flipped at random.

    Args:
        pictures: uint8 RGB (H, W, 3), of any sizes.
        parts: Smallest and largest part of a picture's shorter side that a crop covers.
        seed: Of the draws.
    """

    def __init__(self, pictures: list[np.ndarray], parts: tuple[float, float], seed: int) -> None:
        self._pictures = [Image.fromarray(picture) for picture in pictures]
        self._parts = parts
        self._random = np.random.default_rng(seed)

    def draw(self, count: int, side_px: int) -> Tensor:
        """Float (count, 3, side_px, side_px) in [0, 1], channels last."""
        chosen = self._random.integers(len(self._pictures), size=count)
        return to_tensor(np.stack([self._crop(self._pictures[i], side_px) for i in chosen]))

    def _crop(self, picture: Image.Image, side_px: int) -> np.ndarray:
        extent = min(picture.size) * self._random.uniform(*self._parts)
        left = self._random.uniform(0, picture.width - extent)
        top = self._random.uniform(0, picture.height - extent)
        box = (left, top, left + extent, top + extent)
        crop = np.asarray(picture.resize((side_px, side_px), Image.Resampling.BICUBIC, box=box))
        return crop[:, ::-1] if self._random.random() < 0.5 else crop


def squared(picture: np.ndarray, side_px: int) -> Tensor:
    """The middle square of a picture at a side, float (1, 3, side_px, side_px): what is evaluated on."""
    image = Image.fromarray(picture)
    extent = min(image.size)
    left, top = (image.width - extent) / 2, (image.height - extent) / 2
    box = (left, top, left + extent, top + extent)
    resized = image.resize((side_px, side_px), Image.Resampling.BICUBIC, box=box)
    return to_tensor(np.array(resized)[None])
