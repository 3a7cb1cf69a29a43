"""Boxes and halos."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.codec.tiling import Box, box_count, boxes, even_boxes


@pytest.mark.parametrize(("height", "width", "side"), [(1, 1, 8), (8, 8, 8), (9, 17, 8), (100, 3, 7)])
def test_boxes_cover_all_once(height: int, width: int, side: int) -> None:
    """Every place is in exactly one box, and the count is known beforehand."""
    for made in (list(boxes(height, width, side)), list(even_boxes(Box(0, 0, height, width), side))):
        seen = np.zeros((height, width), int)
        for box in made:
            seen[box.slices()] += 1
            assert max(box.height, box.width) <= side
        assert (seen == 1).all()
        assert len(made) == box_count(height, width, side)


def test_even_boxes_are_even() -> None:
    """Their sides differ by one place at most, wherever the area lies."""
    made = list(even_boxes(Box(7, 3, 107, 53), 32))
    assert {box.height for box in made} <= {25}
    assert {box.width for box in made} == {25}
    assert (made[0].top, made[0].left, made[-1].bottom, made[-1].right) == (7, 3, 107, 53)


def test_a_grown_box_stays_inside() -> None:
    """The halo ends at the borders, and the core is found again in it."""
    core = Box(0, 4, 4, 8)
    outer = core.grown(3, 10, 10)
    assert outer == Box(0, 1, 7, 10)
    area = np.arange(100).reshape(10, 10)
    assert np.array_equal(area[outer.slices()][core.relative_to(outer).slices()], area[core.slices()])


def test_boxes_that_meet() -> None:
    """They share the place that both have; neighbours share none."""
    one, other = Box(0, 0, 4, 4), Box(3, 2, 9, 9)
    assert one.meets(other)
    assert one.within(other) == Box(3, 2, 4, 4)
    assert not one.meets(Box(4, 0, 8, 4))
    assert Box(5, 5, 3, 9).size == 0


def test_the_cells_over_a_box() -> None:
    """Every pixel of the box is in one of them."""
    assert Box(5, 16, 33, 32).over(16) == Box(0, 1, 3, 2)
