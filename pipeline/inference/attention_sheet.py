"""A picture of attention: for each word of a description, where in the photo the model looked.

The first tile is the mean of all. Heat is laid over a greyed photo, each tile scaled to its own largest
value.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from pipeline.inference.describe_engine import Floats, Pixels

_TILE_PX, _LABEL_PX, _GAP_PX = 200, 22, 6
_COLUMNS = 5
_PAGE, _INK = (250, 249, 246), (31, 30, 27)
# Dark to light, from violet over red to yellow: ordered in brightness, too, so that it reads without colours.
_RAMP = np.array([[20, 11, 53], [101, 21, 110], [188, 55, 84], [246, 125, 21], [252, 255, 164]], np.float32)


def attention_sheet(photo: Pixels, words: Sequence[tuple[str, Floats]]) -> bytes:
    """A PNG with a tile a word, in reading order.

    Args:
        photo: uint8 RGB (H, W, 3), at most a few hundred pixels a side is needed.
        words: Each with its map, float32 (h, w) of sum 1 over the whole photo.
    """
    small = Image.fromarray(photo)
    small.thumbnail((_TILE_PX, _TILE_PX))
    mean: Floats = np.stack([one for _, one in words]).mean(axis=0)
    tiles = [("all words", mean), *words]
    columns = min(_COLUMNS, len(tiles))
    wide, high = small.width + _GAP_PX, small.height + _LABEL_PX + _GAP_PX
    size = (columns * wide + _GAP_PX, math.ceil(len(tiles) / columns) * high + _GAP_PX)
    sheet = Image.new("RGB", size, _PAGE)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(14)
    for number, (word, one) in enumerate(tiles):
        x = _GAP_PX + number % columns * wide
        y = _GAP_PX + number // columns * high
        sheet.paste(_heated(small, one), (x, y))
        draw.text((x, y + small.height + 2), _label(number, word), _INK, font)
    out = io.BytesIO()
    sheet.save(out, "PNG", optimize=True)
    return out.getvalue()


def _heated(photo: Image.Image, one: Floats) -> Image.Image:
    heat = Image.fromarray((one / max(float(one.max()), 1e-9)).astype(np.float32))
    smooth = np.clip(np.asarray(heat.resize(photo.size, Image.Resampling.BICUBIC)), 0, 1)
    grey = np.asarray(photo.convert("L"), np.float32)[..., None]
    mixed = (1 - 0.65 * smooth[..., None]) * (0.75 * grey + 40) + 0.65 * smooth[..., None] * _ramp(smooth)
    return Image.fromarray(np.clip(mixed, 0, 255).astype(np.uint8))


def _ramp(values: NDArray[np.float32]) -> Floats:
    """Colours of values in [0, 1], (..., 3)."""
    places = values * (len(_RAMP) - 1)
    below = np.minimum(places.astype(int), len(_RAMP) - 2)
    share = (places - below)[..., None]
    colours: Floats = (1 - share) * _RAMP[below] + share * _RAMP[below + 1]
    return colours


def _label(number: int, word: str) -> str:
    """The word, or its number in the receipt where the built-in font has no such letters."""
    shown = word if all(ord(letter) < 0x250 for letter in word) else str(number)
    return shown if len(shown) <= 24 else f"{shown[:23]}."
