"""Colours that are kept: by chroma, and by mean and covariance."""

from __future__ import annotations

import numpy as np
from PIL import Image

from pipeline.imaging.recolour import give_colours, palette_of, with_palette
from tests.support.codec import landscape

CONTENT, STYLE = landscape(300, 120, seed=1), landscape(300, 120, seed=2)


def test_luma_and_chroma_come_from_two_pictures() -> None:
    """As Pillow's YCbCr has them, where nothing is clipped."""
    content, painted = ((picture // 3 + 80).astype(np.uint8) for picture in (CONTENT, STYLE))
    y, cb, cr = (
        Image.fromarray(painted).convert("YCbCr").getchannel("Y"),
        *Image.fromarray(content).convert("YCbCr").split()[1:],
    )
    expected = np.asarray(Image.merge("YCbCr", (y, cb, cr)).convert("RGB")).astype(int)
    give_colours(content, painted)
    assert np.abs(painted - expected).max() <= 4  # Pillow rounds Cb and Cr to whole numbers


def test_a_palette_is_taken_over() -> None:
    """Mean and covariance afterwards are the wanted ones."""
    soft = (CONTENT // 4 + 90).astype(np.uint8)
    wanted = palette_of((STYLE // 4 + 90).astype(np.uint8))
    got = palette_of(with_palette(soft, wanted))
    assert np.abs(got.mean - wanted.mean).max() < 2 / 255
    assert np.abs(got.covariance - wanted.covariance).max() < 0.1 * np.abs(wanted.covariance).max()


def test_one_colour_is_a_palette_too() -> None:
    """Neither a picture of one colour nor such a wish divides by zero."""
    flat = np.full((20, 20, 3), 77, np.uint8)
    assert np.abs(with_palette(CONTENT, palette_of(flat)).mean(axis=(0, 1)) - 77).max() < 3
    assert np.ptp(with_palette(flat, palette_of(CONTENT))) < 255


def test_hidden_colours_are_not_in_the_palette() -> None:
    """Only what is seen counts."""
    picture = np.zeros((64, 64, 3), np.uint8)
    picture[:32] = (200, 10, 10)
    alpha = np.zeros((64, 64), np.uint8)
    alpha[:32] = 255
    assert np.allclose(palette_of(picture, alpha).mean * 255, (200, 10, 10), atol=0.01)
