"""Style pictures: paintings without the bars that some sets pad them with, and which are kept apart."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from pipeline.training.photos import load_photo, photo_paths

_BLACKEST = 14  # JPEG leaves a little noise in a black bar
_GROUPS = 8


def without_bars(image_hwc: np.ndarray) -> np.ndarray:
    """The picture without black rows and columns at its edges; uint8 (H, W, 3)."""
    dark = image_hwc.max(axis=2) <= _BLACKEST
    rows, columns = np.flatnonzero(~_mostly(dark, 1)), np.flatnonzero(~_mostly(dark, 0))
    if rows.size == 0 or columns.size == 0:
        return image_hwc
    margin = [2 if edge else 0 for edge in (rows[0], columns[0])]  # JPEG blurs a bar into the picture
    bottom = rows[-1] + 1 - (2 if rows[-1] + 1 < dark.shape[0] else 0)
    right = columns[-1] + 1 - (2 if columns[-1] + 1 < dark.shape[1] else 0)
    return image_hwc[rows[0] + margin[0] : bottom, columns[0] + margin[1] : right]


def _mostly(dark: np.ndarray, axis: int) -> np.ndarray:
    found: np.ndarray = dark.mean(axis=axis) > 0.98
    return found


def group_of(path: Path) -> int:
    """For stylization: 0 is for the benchmark only, 1 for evaluation during training, 2 to 7 for training."""
    return hashlib.sha256(path.name.encode()).digest()[0] % _GROUPS


def load_paintings(
    directories: Iterable[Path], groups: Iterable[int], *, least_side_px: int
) -> list[np.ndarray]:
    """The paintings of some groups, uint8 RGB (H, W, 3), in the order of their paths.

    Raises:
        FileNotFoundError: A folder holds no image.
    """
    wanted = frozenset(groups)
    paths = [path for path in photo_paths(directories) if group_of(path) in wanted]
    pictures = [without_bars(load_photo(path)) for path in paths]
    return [picture for picture in pictures if min(picture.shape[:2]) >= least_side_px]
