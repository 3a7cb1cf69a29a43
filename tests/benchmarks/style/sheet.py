"""A contact sheet: `python -m tests.benchmarks.style.sheet --artifact DIR --photos DIR --out FILE`.

Styles stand across, photographs down, each with a row for every strength; originals at the edges.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.core.artifact import BUILT_IN
from pipeline.training.photos import load_photo, photo_paths
from pipeline.training.scaled_crops import squared
from tests.benchmarks.style.painter import Painter


def sheet(
    painter: Painter, photos: list[np.ndarray], styles: list[np.ndarray], strengths: list[float]
) -> Image.Image:
    """All uint8 (1, side, side, 3), of one side."""
    vectors = [painter.style(style) for style in styles]
    rows = [[np.full_like(photos[0], 255), *styles]]
    for photo in photos:
        rows += [
            [photo, *(painter.paint(photo, vector, strength) for vector in vectors)] for strength in strengths
        ]
    return Image.fromarray(np.concatenate([np.concatenate(row, axis=2)[0] for row in rows]))


def _squares(folder: Path, count: int, side_px: int) -> list[np.ndarray]:
    paths = photo_paths([folder])
    chosen = paths[:: max(1, len(paths) // count)][:count]
    return [
        squared(load_photo(path), side_px).permute(0, 2, 3, 1).mul(255).round().byte().numpy()
        for path in chosen
    ]


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.style.sheet", description=__doc__)
    add = parser.add_argument
    add("--artifact", type=Path, required=True)
    add("--photos", type=Path, required=True, help="folder of photographs")
    add("--styles", type=Path, default=BUILT_IN / "gallery", help="folder of styles")
    add("--out", type=Path, required=True, help=".jpg or .png")
    add("--strengths", type=float, nargs="+", default=[0.0, 0.5, 1.0])
    add("--count", type=int, default=4, help="of photographs")
    add("--columns", type=int, default=12, help="of styles")
    add("--side-px", type=int, default=256)
    given = parser.parse_args(argv)
    photos = _squares(given.photos, given.count, given.side_px)
    styles = _squares(given.styles, given.columns, given.side_px)
    made = sheet(Painter(given.artifact), photos, styles, given.strengths)
    made.save(given.out, quality=90, optimize=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
