"""MS-SSIM against the definition, written down plainly, and against another implementation."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from pipeline.metrics.ms_ssim import WEIGHTS, ms_ssim


def pattern(height_px: int, width_px: int, strength: int = 0) -> NDArray[np.uint8]:
    """uint8 (H, W, 3) made of integers only: slopes and rings, and an error of up to `strength` levels."""
    y, x = np.mgrid[:height_px, :width_px]
    planes = np.stack([x * 3 + y, (x * x + y * y) // 97, x * y // 31], axis=2) % 200 + 28
    error = (x * 7919 + y * 104729 + x * y * 31) % (2 * strength + 1) - strength
    return (planes + error[:, :, None]).clip(0, 255).astype(np.uint8)


def plainly(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """One channel, one window at a time as the paper has it, in float64."""
    taps = np.exp(-((np.arange(11) - 5.0) ** 2) / (2 * 1.5**2))
    window = np.outer(taps, taps) / taps.sum() ** 2
    value = 1.0
    for scale, weight in enumerate(WEIGHTS):
        a, b = (sliding_window_view(plane, (11, 11)) for plane in (x, y))
        mean_a, mean_b = ((window * part).sum(axis=(2, 3)) for part in (a, b))
        var_a = (window * a**2).sum(axis=(2, 3)) - mean_a**2
        var_b = (window * b**2).sum(axis=(2, 3)) - mean_b**2
        covariance = (window * a * b).sum(axis=(2, 3)) - mean_a * mean_b
        similar = (2 * covariance + 58.5225) / (var_a + var_b + 58.5225)
        if scale == len(WEIGHTS) - 1:
            similar *= (2 * mean_a * mean_b + 6.5025) / (mean_a**2 + mean_b**2 + 6.5025)
        value *= max(similar.mean(), 0) ** weight
        x, y = (np.pad(plane, [(0, side % 2) for side in plane.shape], mode="edge") for plane in (x, y))
        x, y = ((p[::2, ::2] + p[1::2, ::2] + p[::2, 1::2] + p[1::2, 1::2]) / 4 for p in (x, y))
    return value


@pytest.mark.parametrize("size", [(161, 161), (203, 174)])
def test_equals_the_definition(size: tuple[int, int]) -> None:
    """Strips, banded products and u, v instead of x, y change nothing, with odd sides, too."""
    a, b = pattern(*size), pattern(*size, strength=40)
    wanted = [plainly(a[..., c].astype(np.float64), b[..., c].astype(np.float64)) for c in range(3)]
    assert ms_ssim(a, b) == pytest.approx(np.mean(wanted), abs=1e-6)
    assert ms_ssim(a[..., 1], b[..., 1]) == pytest.approx(wanted[1], abs=1e-6)


@pytest.mark.parametrize(("strength", "wanted"), [(2, 0.9985266), (20, 0.9385362), (80, 0.7077166)])
def test_known_values(strength: int, wanted: float) -> None:
    """What pytorch-msssim 1.0.0 gives in float64 (`data_range=255`) for a size that halves evenly."""
    assert ms_ssim(pattern(192, 176), pattern(192, 176, strength)) == pytest.approx(wanted, abs=1e-6)


def test_equal_pictures_are_one() -> None:
    """Equal is 1, flat pictures and whole black included."""
    for picture in (pattern(170, 300), np.zeros((161, 161), np.uint8)):
        assert ms_ssim(picture, picture.copy()) == 1.0


def test_a_negative_is_zero() -> None:
    """Contrast that is reversed has no root: it counts as 0."""
    random = np.random.default_rng(3).integers(0, 256, (180, 180), dtype=np.uint8)
    assert ms_ssim(random, 255 - random) == 0.0


def test_symmetric_and_falling() -> None:
    """Which picture is the reference does not matter; more error is less similar."""
    clean, little, much = (pattern(200, 200, strength) for strength in (0, 10, 30))
    assert ms_ssim(clean, little) == pytest.approx(ms_ssim(little, clean), abs=1e-7)
    assert 1 > ms_ssim(clean, little) > ms_ssim(clean, much) > 0  # type: ignore[operator]


@pytest.mark.parametrize("size", [(160, 500), (500, 160), (1, 1), (160, 160)])
def test_small_pictures_have_none(size: tuple[int, int]) -> None:
    """A side under 161 pixels: None, not a number of another definition."""
    assert ms_ssim(pattern(*size), pattern(*size, strength=9)) is None


def test_different_shapes_are_refused() -> None:
    """Nothing is broadcast."""
    with pytest.raises(ValueError, match="cannot compare"):
        ms_ssim(np.zeros((200, 200), np.uint8), np.zeros((200, 200, 1), np.uint8))
