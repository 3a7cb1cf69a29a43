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
from pipeline.inference.artifacts import load_directory
from pipeline.inference.painter import Brush, Painter
from pipeline.training.photos import load_photo, photo_paths
from pipeline.training.scaled_crops import squared


def sheet(
    painter: Painter, photos: list[np.ndarray], styles: list[np.ndarray], strengths: list[float]
) -> Image.Image:
    """All uint8 (side, side, 3), of one side, painted as workers paint."""
    vectors = [painter.encode_style(style) for style in styles]
    rows = [[np.full_like(photos[0], 255), *styles]]
    for photo in photos:
        study = painter.study(photo)
        rows += [
            [photo, *(painter.paint(study, [Brush(vector, 1 - beta, beta)]) for vector in vectors)]
            for beta in strengths
        ]
    return Image.fromarray(np.concatenate([np.concatenate(row, axis=1) for row in rows]))


def _squares(folder: Path, count: int, side_px: int) -> list[np.ndarray]:
    paths = photo_paths([folder])
    chosen = paths[:: max(1, len(paths) // count)][:count]
    return [
        squared(load_photo(path), side_px)[0].permute(1, 2, 0).mul(255).round().byte().numpy()
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
    add("--side-px", type=int, default=512, help="that is painted")
    add("--shown-px", type=int, default=160, help="that is shown")
    given = parser.parse_args(argv)
    photos = _squares(given.photos, given.count, given.side_px)
    styles = _squares(given.styles, given.columns, given.side_px)
    made = sheet(Painter.from_artifact(load_directory(given.artifact)), photos, styles, given.strengths)
    cells = made.width // given.side_px, made.height // given.side_px
    shown = made.resize((cells[0] * given.shown_px, cells[1] * given.shown_px), Image.Resampling.LANCZOS)
    shown.save(given.out, quality=90, optimize=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
