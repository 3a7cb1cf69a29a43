"""The built-in styles: files of today's code, each unlike the others."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from PIL import Image

from export.gallery import SIDE_PX, STYLES, paint
from pipeline.core.artifact import BUILT_IN

GALLERY = BUILT_IN / "gallery"


def shipped(name: str) -> np.ndarray:
    with Image.open(GALLERY / f"{name}.jpg") as image:
        return np.asarray(image.convert("RGB"), np.float64)


def test_every_style_is_shipped_and_nothing_else() -> None:
    """At least 8 pictures, 512 pixels square, less than a megabyte together."""
    files = sorted(GALLERY.glob("*.jpg"))
    assert [file.stem for file in files] == sorted(STYLES)
    assert len(files) >= 8
    assert all(shipped(name).shape == (SIDE_PX, SIDE_PX, 3) for name in STYLES)
    assert sum(file.stat().st_size for file in files) < 1_000_000


@pytest.mark.parametrize("name", ["woodcut", "weave", "wave"])
def test_the_code_paints_what_is_shipped(name: str) -> None:
    """Painted again, a style is its file but for JPEG's loss; and twice the same."""
    painted = np.asarray(paint(name), np.float64)
    assert np.abs(painted - shipped(name)).mean() < 8
    assert np.array_equal(painted, np.asarray(paint(name)))


def test_styles_differ() -> None:
    """Colours or contrasts of any two styles are apart."""
    marks = {}
    for name in STYLES:
        pixels = shipped(name)
        fine = np.abs(np.diff(pixels, axis=0)).mean(axis=(0, 1))
        marks[name] = np.concatenate([pixels.mean(axis=(0, 1)), pixels.std(axis=(0, 1)), fine])
    for one, other in combinations(STYLES, 2):
        assert np.abs(marks[one] - marks[other]).max() > 10, (one, other)
