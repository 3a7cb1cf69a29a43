"""Boxes, halos and padding."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.codec.tiling import Box, box_count, boxes, cut_padded


@pytest.mark.parametrize(("height", "width", "side"), [(1, 1, 8), (8, 8, 8), (9, 17, 8), (100, 3, 7)])
def test_boxes_cover_all_once(height: int, width: int, side: int) -> None:
    """Every place is in exactly one box, and the count is known beforehand."""
    seen = np.zeros((height, width), int)
    made = list(boxes(height, width, side))
    for box in made:
        seen[box.slices()] += 1
    assert (seen == 1).all()
    assert len(made) == box_count(height, width, side)


def test_a_grown_box_stays_inside() -> None:
    """The halo ends at the borders, and the core is found again in it."""
    core = Box(0, 4, 4, 8)
    outer = core.grown(3, 10, 10)
    assert outer == Box(0, 1, 7, 10)
    area = np.arange(100).reshape(10, 10)
    assert np.array_equal(area[outer.slices()][core.relative_to(outer).slices()], area[core.slices()])


def test_padding_repeats_the_border() -> None:
    """Past the lower and right border stands the last row and column; inside nothing changes."""
    pixels = np.arange(5 * 6 * 3, dtype=np.uint8).reshape(5, 6, 3)
    padded = cut_padded(pixels, Box(0, 0, 8, 8))
    assert np.array_equal(padded[:5, :6], pixels)
    assert (padded[5:, :6] == pixels[4]).all()
    assert (padded[:5, 6:] == pixels[:, 5:6]).all()
