"""Training photographs: decoded once into memory as uint8, cut into random patches."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}


def load_photos(directories: Iterable[Path], *, least_side_px: int = 1) -> list[np.ndarray]:
    """Every photograph of some folders.

    Returns:
        uint8 RGB arrays (H, W, 3) in the order of their paths; images with a shorter side are left out.

    Raises:
        FileNotFoundError: A folder holds no image.
    """
    photos = [load_photo(path) for path in photo_paths(directories)]
    return [photo for photo in photos if min(photo.shape[:2]) >= least_side_px]


def photo_paths(directories: Iterable[Path]) -> list[Path]:
    """Every image file in and below some folders, each folder's in order.

    Raises:
        FileNotFoundError: A folder holds no image.
    """
    found: list[Path] = []
    for directory in directories:
        there = (path for path in directory.rglob("*") if not path.name.startswith("."))
        paths = sorted(path for path in there if path.suffix.lower() in _SUFFIXES)
        if not paths:
            raise FileNotFoundError(f"no images in {directory}")
        found += paths
    return found


def refuse_overlap(data: Iterable[Path], dev: Path | None) -> None:
    """What is measured on is not learnt from.

    Raises:
        ValueError: A photograph of `dev` is in one of the folders of `data`, too.
    """
    if dev is None:
        return
    learnt = {path.resolve() for path in photo_paths(data)}
    both = [path for path in photo_paths([dev]) if path.resolve() in learnt]
    if both:
        raise ValueError(f"{len(both)} photographs of {dev} are in --data, too, such as {both[0]}")


def load_photo(path: Path) -> np.ndarray:
    """uint8 RGB (H, W, 3), upright.

    Raises:
        OSError: It cannot be read; the message names it.
    """
    try:
        with Image.open(path) as image:
            return np.array(ImageOps.exif_transpose(image).convert("RGB"))
    except OSError as error:
        raise OSError(f"{path}: {error}") from error


def to_tensor(images_hwc: np.ndarray) -> Tensor:
    """uint8 (B, H, W, 3) to float (B, 3, H, W) in [0, 1], channels last in memory."""
    return torch.from_numpy(images_hwc).permute(0, 3, 1, 2).float().div_(255)


def dev_images(directory: Path | None, count: int, cell_px: int) -> list[Tensor]:
    """About `count` photographs, float (1, 3, H, W), evenly spaced in the order of their paths.

    What is left over of whole cells at their right and lower borders is cut off.
    """
    if directory is None:
        return []
    photos = load_photos([directory])
    chosen = photos[:: max(1, len(photos) // count)][:count]
    return [to_tensor(_whole_cells(photo, cell_px)[None]) for photo in chosen]


def _whole_cells(photo: np.ndarray, cell_px: int) -> np.ndarray:
    height, width = photo.shape[:2]
    return photo[: height // cell_px * cell_px, : width // cell_px * cell_px]


class PatchSampler:
    """Draws random patches, each pixel of the set about equally often, flipped and turned at random."""

    def __init__(self, photos: list[np.ndarray], seed: int) -> None:
        self._photos = photos
        pixels = np.array([photo.shape[0] * photo.shape[1] for photo in photos], dtype=np.float64)
        self._chance = pixels / pixels.sum()
        self._random = np.random.default_rng(seed)

    def draw(self, count: int, side_px: int) -> Tensor:
        """Float (count, 3, side_px, side_px) in [0, 1], channels last."""
        chosen = self._random.choice(len(self._photos), size=count, p=self._chance)
        return to_tensor(np.stack([self._patch(self._photos[i], side_px) for i in chosen]))

    def _patch(self, photo: np.ndarray, side_px: int) -> np.ndarray:
        top = self._random.integers(photo.shape[0] - side_px + 1)
        left = self._random.integers(photo.shape[1] - side_px + 1)
        patch = photo[top : top + side_px, left : left + side_px]
        if self._random.random() < 0.5:
            patch = patch[:, ::-1]
        return np.rot90(patch, k=int(self._random.integers(4)))
