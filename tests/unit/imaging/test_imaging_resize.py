"""Resizing strip by strip is resizing."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from pipeline.imaging.resize import resized, scaled, size_within
from tests.support.codec import landscape

PIXELS = landscape(1000, 90)


@pytest.mark.parametrize("size", [(40, 411), (91, 1003), (200, 2000), (13, 1999), (1, 1)])
def test_strips_do_not_show(size: tuple[int, int]) -> None:
    """As Pillow does it in one piece, but for roundings between its two passes."""
    expected = np.asarray(Image.fromarray(PIXELS).resize(size, Image.Resampling.LANCZOS)).astype(int)
    found = resized(PIXELS, size)
    assert np.abs(found - expected).max() <= 2
    assert np.abs(found - expected).mean() < 0.1
    grey = resized(np.ascontiguousarray(PIXELS[:, :, 0]), size)
    assert np.abs(grey - expected[:, :, 0]).max() <= 2


def test_sizes() -> None:
    """Proportions stay, no side vanishes, nothing grows."""
    assert size_within((4000, 3000), 1000) == (1000, 750)
    assert size_within((300, 4000), 1000) == (75, 1000)
    assert size_within((40, 30), 1000) == size_within((40, 30), None) == (40, 30)
    assert size_within((5000, 3), 16) == (16, 1)
    assert scaled((101, 50), 0.5) == (50, 25)
    assert resized(PIXELS, (90, 1000)) is PIXELS
