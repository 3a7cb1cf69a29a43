"""Cached features of photographs: the frozen image encoder's last bottleneck, for several views of each.

The encoder is most of the arithmetic and never changes, so it runs once. View 0 is the photograph squashed
to a square, view 1 its mirror image, the others are random crops, half of them mirrored.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from pipeline.models.description.efficientnet import CHANNELS, GRID, SIDE_PX, EfficientNetLite1
from pipeline.training.fast_encoder import fast_encoder

Trim = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]

_BATCH = 4
_LEAST_SIDE = 0.78  # of a crop, of the photograph's side


def cached_views(
    paths: Sequence[Path],
    views: int,
    encoder: EfficientNetLite1,
    cache: Path,
    name: str,
    *,
    trim: Trim | None = None,
) -> list[NDArray[np.float16]]:
    """Features of every photograph, one array a view, (N, 64, 320), from the cache or computed now.

    Args:
        paths: The photographs; the cache goes by their names and order.
        views: How many of each.
        encoder: Frozen.
        cache: Folder; about 41 KB a photograph and view.
        name: Of the set.
        trim: What takes off bars at a picture's edges, uint8 (H, W, 3) each way.
    """
    cache.mkdir(parents=True, exist_ok=True)
    if not paths:
        return [np.zeros((0, GRID * GRID, CHANNELS), np.float16)] * views
    return [
        _view(paths, view, encoder, cache / f"{name}-{digest_of_files(paths)}-view{view}.npy", trim)
        for view in range(views)
    ]


def digest_of_files(paths: Sequence[Path]) -> str:
    """Stands for some files in this order: other, changed or reordered ones have another digest."""
    seen = hashlib.sha256()
    for path in paths:
        facts = path.stat()
        seen.update(f"{path}\0{facts.st_size}\0{facts.st_mtime_ns}\0".encode("utf-8", "surrogateescape"))
    return f"{len(paths)}-{seen.hexdigest()[:12]}"


def cached_canvases(
    paths: Sequence[Path], encoder: EfficientNetLite1, cache: Path
) -> tuple[NDArray[np.float16], NDArray[np.bool_]]:
    """Features of photographs on a part of a grey canvas, (N, 64, 320), and the cells they fill, (N, 64).

    Whoever looks for the origin of a word should look into that part: the rest says nothing.
    """
    file = cache / f"canvases-{digest_of_files(paths)}.npy"
    random = np.random.default_rng(0)
    sides = random.integers(3, 7, (len(paths), 2))
    corners = (random.random((len(paths), 2)) * (GRID + 1 - sides)).astype(int)
    filled = np.zeros((len(paths), GRID, GRID), bool)
    for cells, (top, left), (height, width) in zip(filled, corners, sides, strict=True):
        cells[top : top + height, left : left + width] = True
    if not file.exists():
        print(f"encoding {len(paths)} photographs on grey canvases into {file}")
        looks = (_on_canvas(*facts) for facts in zip(paths, corners, sides, strict=True))
        _encode(looks, len(paths), encoder, file)
    mapped: NDArray[np.float16] = np.load(file, mmap_mode="r")
    return mapped, filled.reshape(len(paths), -1)


def _on_canvas(path: Path, corner: NDArray[np.int_], sides: NDArray[np.int_]) -> NDArray[np.uint8]:
    cell = SIDE_PX // GRID
    (top, left), (height, width) = corner * cell, sides * cell
    canvas = np.full((SIDE_PX, SIDE_PX, 3), 128, np.uint8)
    with Image.open(path) as opened:
        small = opened.convert("RGB").resize((int(width), int(height)), Image.Resampling.BICUBIC)
    canvas[top : top + height, left : left + width] = np.asarray(small)
    return canvas


def _view(
    paths: Sequence[Path], view: int, encoder: EfficientNetLite1, file: Path, trim: Trim | None
) -> NDArray[np.float16]:
    if not file.exists():
        print(f"encoding view {view} of {len(paths)} photographs into {file}")
        random = np.random.default_rng(view)
        _encode((_look(path, view, random, trim) for path in paths), len(paths), encoder, file)
    mapped: NDArray[np.float16] = np.load(file, mmap_mode="r")
    return mapped


def _encode(pixels: Iterable[NDArray[np.uint8]], count: int, encoder: EfficientNetLite1, file: Path) -> None:
    """Encodes pictures, a few at a time, into a file that is there only when it is whole."""
    run = fast_encoder(encoder, torch.zeros(2, 3, SIDE_PX, SIDE_PX))
    part = file.with_suffix(".part.npy")
    shape = (count, GRID * GRID, CHANNELS)
    out = np.lib.format.open_memmap(part, mode="w+", dtype=np.float16, shape=shape)
    left = iter(pixels)
    for start in range(0, count, _BATCH):
        batch = np.stack([*islice(left, _BATCH)])
        (features,) = run(batch.transpose(0, 3, 1, 2).astype(np.float32))
        out[start : start + _BATCH] = features.reshape(len(batch), CHANNELS, -1).transpose(0, 2, 1)
    out.flush()
    os.replace(part, file)


def _look(path: Path, view: int, random: np.random.Generator, trim: Trim | None) -> NDArray[np.uint8]:
    """One view of a photograph, (240, 240, 3)."""
    with Image.open(path) as opened:
        image = opened.convert("RGB")
    if trim is not None:
        image = Image.fromarray(trim(np.asarray(image)))
    box = None
    if view > 1:
        sides = random.uniform(_LEAST_SIDE, 1, 2) * image.size
        left, top = random.uniform(0, 1, 2) * (image.size - sides)
        box = (float(left), float(top), float(left + sides[0]), float(top + sides[1]))
    pixels = np.asarray(image.resize((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC, box=box))
    mirrored = view == 1 or (view > 1 and random.random() < 0.5)
    return pixels[:, ::-1] if mirrored else pixels
