"""Cached features of photographs: the frozen image encoder's last bottleneck, for several views of each.

The encoder is most of the arithmetic and never changes, so it runs once. View 0 is the photograph squashed
to a square, view 1 its mirror image, the others are random crops, half of them mirrored.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from pipeline.models.description.efficientnet import CHANNELS, GRID, SIDE_PX, EfficientNetLite1
from pipeline.training.fast_encoder import fast_encoder

_BATCH = 4
_LEAST_SIDE = 0.78  # of a crop, of the photograph's side


def cached_views(
    paths: Sequence[Path], views: int, encoder: EfficientNetLite1, cache: Path, name: str
) -> list[NDArray[np.float16]]:
    """Features of every photograph, one array a view, (N, 64, 320), from the cache or computed now.

    Args:
        paths: The photographs; the cache goes by their names and order.
        views: How many of each.
        encoder: Frozen.
        cache: Folder; about 41 KB a photograph and view.
        name: Of the set.
    """
    cache.mkdir(parents=True, exist_ok=True)
    return [
        _view(paths, view, encoder, cache / f"{name}-{len(paths)}-view{view}.npy") for view in range(views)
    ]


def _view(paths: Sequence[Path], view: int, encoder: EfficientNetLite1, file: Path) -> NDArray[np.float16]:
    if not file.exists():
        print(f"encoding view {view} of {len(paths)} photographs into {file}")
        run = fast_encoder(encoder, torch.zeros(2, 3, SIDE_PX, SIDE_PX))
        random = np.random.default_rng(view)
        part = file.with_suffix(".part.npy")
        shape = (len(paths), GRID * GRID, CHANNELS)
        out = np.lib.format.open_memmap(part, mode="w+", dtype=np.float16, shape=shape)
        for start in range(0, len(paths), _BATCH):
            pixels = [_look(path, view, random) for path in paths[start : start + _BATCH]]
            (features,) = run(np.stack(pixels).transpose(0, 3, 1, 2).astype(np.float32))
            out[start : start + _BATCH] = features.reshape(len(pixels), CHANNELS, -1).transpose(0, 2, 1)
        out.flush()
        os.replace(part, file)
    mapped: NDArray[np.float16] = np.load(file, mmap_mode="r")
    return mapped


def _look(path: Path, view: int, random: np.random.Generator) -> NDArray[np.uint8]:
    """One view of a photograph, (240, 240, 3)."""
    with Image.open(path) as opened:
        image = opened.convert("RGB")
    box = None
    if view > 1:
        sides = random.uniform(_LEAST_SIDE, 1, 2) * image.size
        left, top = random.uniform(0, 1, 2) * (image.size - sides)
        box = (float(left), float(top), float(left + sides[0]), float(top + sides[1]))
    pixels = np.asarray(image.resize((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC, box=box))
    mirrored = view == 1 or (view > 1 and random.random() < 0.5)
    return pixels[:, ::-1] if mirrored else pixels
