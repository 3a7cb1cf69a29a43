"""Masks as weights: aspect ratios, labels, softness, and the same value from every window."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.core.errors import MaskMismatch
from pipeline.imaging.regions import lay_over, regions_of
from pipeline.imaging.resize import scaled
from tests.support.codec import landscape

SIZE = (203, 150)


def plane(height: int = 150, width: int = 203, level: int = 255) -> np.ndarray:
    return np.full((height, width), level, np.uint8)


@pytest.mark.parametrize("factor", [0.05, 0.3, 0.5, 2.7])
def test_a_mask_may_have_another_size(factor: float) -> None:
    """Whatever a resized copy of the picture's outline comes to."""
    width, height = scaled(SIZE, factor)
    regions = regions_of([plane(height, width)], SIZE, 0)
    assert regions.weights((0, 0, *SIZE)).min() == 1


@pytest.mark.parametrize("shape", [(203, 150), (150, 190), (100, 100), (1, 203)])
def test_another_aspect_ratio_is_refused(shape: tuple[int, int]) -> None:
    with pytest.raises(MaskMismatch, match=f"{shape[1]} x {shape[0]}"):
        regions_of([plane(*shape)], SIZE, 0)
    with pytest.raises(MaskMismatch, match="mask 1"):
        regions_of([plane(), plane(*shape)], SIZE, 0)


def test_labels_cover_everything_once() -> None:
    """Weights of a label image add up to one everywhere, also where regions meet."""
    labels = plane(level=0)
    labels[:, 70:140], labels[60:, 140:] = 1, 2
    for feather_px in (0, 10):
        weights = regions_of([labels], SIZE, feather_px, labels=3).weights((0, 0, *SIZE))
        assert np.abs(weights.sum(axis=0) - 1).max() < 0.02
    assert weights[0, 75, 35] == weights[1, 75, 105] == weights[2, 120, 190] == 1


def test_windows_see_the_same_weights() -> None:
    """Looked up in parts, a map is what it is as a whole."""
    random = np.random.default_rng(0)
    mask = random.integers(0, 256, (150, 203), np.uint8)
    regions = regions_of([mask], SIZE, 3)
    whole = regions.weights((0, 0, *SIZE))
    for box in ((0, 0, 100, 70), (100, 0, 203, 70), (31, 70, 77, 150), (202, 149, 203, 150)):
        left, top, right, bottom = box
        assert np.abs(regions.weights(box) - whole[:, top:bottom, left:right]).max() <= 1 / 255


def test_feathers_are_as_wide_as_asked() -> None:
    """The blur's deviation is in pixels of the picture."""
    mask = plane(level=0)
    mask[:, 100:] = 255
    for feather_px in (8, 24):
        row = regions_of([mask], SIZE, feather_px).weights((0, 0, *SIZE))[0, 75]
        inside = np.flatnonzero((row > 0.16) & (row < 0.84))  # two deviations
        assert abs(inside.size - 2 * feather_px) < 0.35 * 2 * feather_px


def test_laying_over() -> None:
    """White is painted, black is the content, grey is between."""
    content, painted = landscape(150, 203, seed=1), landscape(150, 203, seed=2)
    for level, share in ((0, 0.0), (255, 1.0), (51, 0.2)):
        mixed = painted.copy()
        lay_over(content, mixed, regions_of([plane(level=level)], SIZE, 0))
        expected = content + share * (painted.astype(float) - content)
        assert np.abs(mixed - expected).max() <= 0.51
