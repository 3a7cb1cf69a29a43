"""What stands under full transparency is replaced by what surrounds it."""

from __future__ import annotations

import numpy as np

from pipeline.imaging.hidden import fill_hidden
from tests.support.codec import landscape

PIXELS = landscape(150, 210)


def test_visible_pixels_stay_and_hidden_ones_are_forgotten() -> None:
    """Whatever was there: the fill comes from what is visible alone."""
    alpha = np.full(PIXELS.shape[:2], 255, np.uint8)
    alpha[40:120, 50:190] = 0
    alpha[10, 10] = 1
    fills = []
    for hidden in (0, 255):
        picture = PIXELS.copy()
        picture[alpha == 0] = hidden
        fills.append(fill_hidden(picture, alpha))
        assert np.array_equal(fills[-1][alpha > 0], PIXELS[alpha > 0])
    assert np.array_equal(fills[0], fills[1])


def test_the_fill_is_near_and_smooth() -> None:
    """Left it is like the left, right like the right, and it has no edges of its own."""
    picture = np.zeros((160, 320, 3), np.uint8)
    picture[:, :160], picture[:, 160:] = (200, 40, 40), (40, 40, 200)
    alpha = np.full((160, 320), 255, np.uint8)
    alpha[:, 80:240] = 0
    filled = fill_hidden(picture, alpha).astype(int)
    assert np.abs(filled[80, 82] - (200, 40, 40)).max() < 40
    assert np.abs(filled[80, 237] - (40, 40, 200)).max() < 40
    assert np.abs(np.diff(filled, axis=1)).max() < 20


def test_nothing_to_fill_from_or_nothing_to_fill() -> None:
    """All opaque, or all hidden: the same array."""
    for alpha in (None, np.full(PIXELS.shape[:2], 3, np.uint8), np.zeros(PIXELS.shape[:2], np.uint8)):
        assert fill_hidden(PIXELS, alpha) is PIXELS


def test_one_visible_pixel() -> None:
    """Its colour is everywhere."""
    alpha = np.zeros((70, 33), np.uint8)
    alpha[69, 32] = 255
    picture = np.zeros((70, 33, 3), np.uint8)
    picture[69, 32] = (10, 200, 30)
    assert (fill_hidden(picture, alpha) == (10, 200, 30)).all()
