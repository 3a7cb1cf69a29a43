"""The search for a quality: what it finds, and how little it looks at."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.core.errors import TargetUnreachable
from pipeline.inference.rate_control import Coded, largest_within, neighbours, smallest_reaching
from pipeline.metrics.psnr import psnr_db

LINE = {"at_50": 32.0, "a_step": 0.17}
PIXEL_COUNT = 768 * 512
RANDOM = np.random.default_rng(7)
PIXELS = RANDOM.integers(60, 190, (48, 64, 3), dtype=np.uint8)


class Counted:
    """A function of quality that notes what it was asked."""

    def __init__(self, values: Sequence[float] | Callable[[int], float]) -> None:
        self._value = values if callable(values) else lambda quality: values[quality - 1]
        self.asked: list[int] = []

    def __call__(self, quality: int) -> float:
        assert 1 <= quality <= 100
        self.asked.append(quality)
        return self._value(quality)


def of_size(size_of: Callable[[int], float]) -> tuple[Callable[[int], bytes], list[int]]:
    """A coder whose files have these sizes, and the qualities that it was asked for."""
    asked: list[int] = []

    def at(quality: int) -> bytes:
        asked.append(quality)
        return bytes(round(size_of(quality)))

    return at, asked


def noisy(decibels: float) -> NDArray[np.uint8]:
    """PIXELS with noise of about that PSNR."""
    sigma = 255 / 10 ** (decibels / 20)
    noise = np.random.default_rng(3).normal(0, sigma, PIXELS.shape)
    return (PIXELS + noise).round().clip(0, 255).astype(np.uint8)


@given(values=st.lists(st.floats(-9, 60), min_size=100, max_size=100), target=st.floats(-9, 60))
def test_whatever_the_curve(values: list[float], target: float) -> None:
    """Neighbours on either side of the target, each asked once: also where values do not rise."""
    value = Counted(values)
    low, high = neighbours(value, target, **LINE)
    assert high == low + 1
    assert low == 0 or values[low - 1] < target
    assert high == 101 or values[high - 1] >= target
    assert {low, high} - {0, 101} <= set(value.asked)
    assert len(value.asked) == len(set(value.asked)) <= 12


@given(
    at_50=st.floats(26, 44),
    slope=st.floats(0.08, 0.3),
    bend=st.floats(-0.0008, 0.0008),
    target=st.floats(24, 50),
)
def test_real_curves_take_a_few_looks(at_50: float, slope: float, bend: float, target: float) -> None:
    """Smooth curves as photographs have them: never more than seven qualities are looked at."""

    def curve(quality: int) -> float:
        return at_50 + slope * (quality - 50) + bend * (quality - 50) * abs(quality - 50) / 2

    value = Counted(curve)
    low, _ = neighbours(value, target, **LINE)
    assert low == sum(curve(quality) < target for quality in range(1, 101))
    assert len(value.asked) <= 7


def test_a_typical_photo_takes_three() -> None:
    """On the line itself the first look is right, and one neighbour proves it."""
    value = Counted(lambda quality: 32.03 + 0.17 * (quality - 50))
    assert neighbours(value, 36.0, **LINE) == (73, 74)
    assert len(value.asked) <= 3


@pytest.mark.parametrize("max_bytes", [4_000, 20_000, 20_001, 60_000, 200_000])
def test_the_highest_quality_that_fits(max_bytes: int) -> None:
    """The file fits, and that of the next quality does not; a byte decides."""

    def size_of(quality: int) -> float:
        return 2_000 * 2 ** (quality * 0.07)

    at, asked = of_size(size_of)
    found = largest_within(at, max_bytes, pixel_count=PIXEL_COUNT)
    assert len(found.data) <= max_bytes
    assert found.quality == 100 or round(size_of(found.quality + 1)) > max_bytes
    assert len(found.data) == round(size_of(found.quality))
    assert len(asked) <= 6


def test_exactly_max_bytes_fits() -> None:
    """The limit itself is allowed."""
    at, _ = of_size(lambda quality: 1000 + 10 * quality)
    assert largest_within(at, 1420, pixel_count=PIXEL_COUNT).quality == 42
    assert largest_within(at, 1419, pixel_count=PIXEL_COUNT).quality == 41


def test_nothing_fits() -> None:
    """The message says how small it could get."""
    at, _ = of_size(lambda quality: 500 + quality)
    with pytest.raises(TargetUnreachable, match="501 bytes"):
        largest_within(at, 500, pixel_count=PIXEL_COUNT)


def reached(min_psnr_db: float, asked: list[int]) -> Coded:
    """The search over a coder that comes to 22 dB at quality 1 and 0.2 dB more with each."""

    def decode(data: bytes) -> NDArray[np.uint8]:
        asked.append(int(data))
        return noisy(22 + 0.2 * int(data))

    return smallest_reaching(lambda quality: b"%d" % quality, decode, PIXELS, min_psnr_db)


@pytest.mark.parametrize("min_psnr_db", [22.5, 30.0, 38.0, 41.5])
def test_the_lowest_quality_that_is_close_enough(min_psnr_db: float) -> None:
    """It is close enough, the one below is not, and what was decoded comes with it."""
    asked: list[int] = []
    found = reached(min_psnr_db, asked)
    assert found.psnr_db is not None
    assert found.psnr_db >= min_psnr_db
    assert found.decoded is not None
    assert found.psnr_db == psnr_db(PIXELS, found.decoded)
    assert int(found.data) == found.quality
    below = psnr_db(PIXELS, noisy(22 + 0.2 * (found.quality - 1)))
    assert below is not None
    assert below < min_psnr_db
    assert len(asked) <= 5


def test_nothing_is_close_enough() -> None:
    """The message says how close it could get."""
    with pytest.raises(TargetUnreachable, match=r"quality 100 PSNR is 4\d\.\d\d dB"):
        reached(60, [])


def test_lossless_is_close_enough_for_anything() -> None:
    """An infinite PSNR is above every target, and stands as None."""
    found = smallest_reaching(lambda quality: b"%d" % quality, lambda _: PIXELS.copy(), PIXELS, 100)
    assert (found.quality, found.psnr_db) == (1, None)
