"""The built-in styles: pictures painted by code, so that the project may ship them.

`python -m export gallery --out DIR` writes one file a style. The same version of numpy and Pillow gives the
same pictures; the files, not this code, are what is used.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from export.gallery import paintings, patterns, prints

SIDE_PX = 512
QUALITY = 82
Painting = Callable[[np.random.Generator, int], Image.Image]

STYLES: dict[str, Painting] = {
    "night": paintings.night,
    "meadow": paintings.meadow,
    "dots": paintings.dots,
    "watercolour": paintings.watercolour,
    "charcoal": prints.charcoal,
    "woodcut": prints.woodcut,
    "wave": prints.wave,
    "glass": patterns.glass,
    "mosaic": patterns.mosaic,
    "marble": patterns.marble,
    "shapes": patterns.shapes,
    "weave": patterns.weave,
}


def paint(name: str) -> Image.Image:
    """One style, RGB, SIDE_PX square; painted at twice the size and reduced."""
    seed = int.from_bytes(name.encode()[:6].ljust(6, b"."), "big")
    large = STYLES[name](np.random.default_rng(seed), 2 * SIDE_PX)
    return large.convert("RGB").resize((SIDE_PX, SIDE_PX), Image.Resampling.LANCZOS)


def write_gallery(directory: Path) -> list[Path]:
    """Writes NAME.jpg for every style."""
    directory.mkdir(parents=True, exist_ok=True)
    paths = [directory / f"{name}.jpg" for name in STYLES]
    for path in paths:
        paint(path.stem).save(path, quality=QUALITY, optimize=True)
    return paths
