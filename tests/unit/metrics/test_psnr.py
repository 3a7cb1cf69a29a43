"""PSNR against its definition."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pipeline.metrics.psnr import psnr_db


def test_known_value() -> None:
    """A difference of one everywhere is 20 log10 255."""
    image = np.full((300, 7, 3), 100, np.uint8)
    assert psnr_db(image, image + 1) == pytest.approx(20 * math.log10(255))


def test_whole_range() -> None:
    """Black against white is 0 dB: nothing wraps around."""
    black = np.zeros((5, 5), np.uint8)
    assert psnr_db(black, black + 255) == 0


def test_equal_pictures_have_none() -> None:
    """No error, no ratio."""
    image = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    assert psnr_db(image, image.copy()) is None


def test_matches_float_definition() -> None:
    """Integer accumulation in parts equals the mean over all samples."""
    random = np.random.default_rng(1)
    a, b = random.integers(0, 256, (2, 700, 11, 3), dtype=np.uint8)
    mse = np.mean((a.astype(np.float64) - b) ** 2)
    assert psnr_db(a, b) == pytest.approx(10 * math.log10(255**2 / mse))


def test_different_shapes_are_refused() -> None:
    """Nothing is broadcast."""
    with pytest.raises(ValueError, match="cannot compare"):
        psnr_db(np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4, 1), np.uint8))
