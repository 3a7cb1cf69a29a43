"""A picture as an imported model wants it: sizes, tiles and numbers, in numpy and Pillow.

    squash   any picture ── resize ── one of the network's size                       BLIP, Florence-2
    tiles    any picture ── longer side to longest_px ── sides to multiples of a tile ── tiles, row by row,
             and last the whole as one tile                                           Idefics3, SmolVLM

Pixels are resized as uint8, each time anew, as the published processors do: rounding is part of the input.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.inference.imported_config import PictureConfig

Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]
Grid = tuple[int, int]  # rows and columns of tiles; (0, 0): the picture is one tile
_LARGEST_PX = 4096  # Idefics3's own bound


def prepare(pixels: Pixels, config: PictureConfig) -> Pixels:
    """A picture at the size at which it is cut into tiles, or else at the network's.

    Args:
        pixels: uint8 RGB, (H, W, 3).
        config: The model's.

    Returns:
        uint8 RGB; what `numbers` wants.
    """
    if config.longest_px is None:
        return _resized(pixels, config.height_px, config.width_px, config)
    height, width = _within(pixels.shape[0], pixels.shape[1], config.longest_px)
    pixels = _resized(pixels, height, width, config)
    if not config.split:
        return _resized(pixels, config.height_px, config.width_px, config)
    return _resized(pixels, *_whole_tiles(height, width, config), config)


def grid_of(pixels: Pixels, config: PictureConfig) -> Grid:
    """Rows and columns of tiles of a prepared picture."""
    rows, columns = pixels.shape[0] // config.height_px, pixels.shape[1] // config.width_px
    return (0, 0) if (rows, columns) == (1, 1) else (rows, columns)


def numbers(pixels: Pixels, config: PictureConfig) -> Floats:
    """A prepared picture for the network: float32 (n, 3, height_px, width_px), n tiles, the whole last."""
    rows, columns = grid_of(pixels, config)
    tiles = [
        pixels[
            row * config.height_px : (row + 1) * config.height_px,
            column * config.width_px : (column + 1) * config.width_px,
        ]
        for row in range(rows)
        for column in range(columns)
    ]
    whole = _resized(pixels, config.height_px, config.width_px, config)
    stacked = np.stack([*tiles, whole]).astype(np.float32) * np.float32(config.scale)
    normal = (stacked - np.array(config.mean, np.float32)) / np.array(config.std, np.float32)
    return np.ascontiguousarray(normal.transpose(0, 3, 1, 2), dtype=np.float32)


def _within(height: int, width: int, longest: int) -> tuple[int, int]:
    """The longer side at `longest`, the other in proportion, rounded down, then up to an even one."""
    ratio = width / height
    if width >= height:
        width, height = longest, int(longest / ratio)
        height += height % 2
    else:
        height, width = longest, int(longest * ratio)
        width += width % 2
    height, width = max(height, 1), max(width, 1)
    if max(height, width) > _LARGEST_PX:
        ratio = width / height
        if width >= height:
            height, width = int(_LARGEST_PX / ratio), _LARGEST_PX
        else:
            height, width = _LARGEST_PX, int(_LARGEST_PX * ratio)
    return max(height, 1), max(width, 1)


def _whole_tiles(height: int, width: int, config: PictureConfig) -> tuple[int, int]:
    """Both sides up to the next multiple of a tile's, the shorter one from the proportions."""
    side, ratio = config.height_px, width / height
    if width >= height:
        width = math.ceil(width / side) * side
        height = math.ceil(int(width / ratio) / side) * side
    else:
        height = math.ceil(height / side) * side
        width = math.ceil(int(height * ratio) / side) * side
    return max(height, side), max(width, side)


def _resized(pixels: Pixels, height: int, width: int, config: PictureConfig) -> Pixels:
    resized: Pixels = np.asarray(
        Image.fromarray(pixels).resize((width, height), Image.Resampling(config.resample))
    )
    return resized
