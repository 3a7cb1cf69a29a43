"""BD-rate in cases that can be said without it, and against SciPy's interpolation."""

from __future__ import annotations

import pytest

from pipeline.metrics.bd_rate import bd_rate

# JPEG and WebP on the Kodak pictures: bits a pixel, dB.
JPEG = ([0.2555, 0.5334, 0.7433, 1.0049, 1.3443, 2.3154], [26.672, 29.893, 31.422, 32.908, 34.522, 38.034])
WEBP = ([0.2344, 0.407, 0.6207, 0.8237, 1.2163, 2.9285], [28.328, 30.407, 32.425, 33.972, 36.369, 41.759])


def test_a_curve_against_itself() -> None:
    """No difference, over all of its range, whatever the order of its points."""
    found = bd_rate(JPEG[0][::-1], JPEG[1][::-1], *JPEG)
    assert found.percent == pytest.approx(0, abs=1e-12)
    assert (found.lowest, found.highest) == (26.672, 38.034)


@pytest.mark.parametrize("factor", [1.1, 0.5, 3.0])
def test_constant_factor(factor: float) -> None:
    """The same qualities for 10 % more bits are +10 %."""
    dearer = [factor * rate for rate in JPEG[0]]
    assert bd_rate(dearer, JPEG[1], *JPEG).percent == pytest.approx(100 * (factor - 1))


def test_known_value() -> None:
    """What SciPy 1.17's PchipInterpolator gives, integrated over the common range."""
    found = bd_rate(*WEBP, *JPEG)
    assert found.percent == pytest.approx(-32.7356384334657)
    assert (found.lowest, found.highest) == (28.328, 38.034)


def test_exchanged_curves() -> None:
    """The other way round is the reciprocal."""
    there, back = bd_rate(*WEBP, *JPEG).percent, bd_rate(*JPEG, *WEBP).percent
    assert (1 + there / 100) * (1 + back / 100) == pytest.approx(1)


def test_only_the_common_range_counts() -> None:
    """Straight curves in log rate, 20 % apart: points beyond the other curve's ends change nothing."""
    anchor = ([2.0**k for k in range(5)], [30.0 + 3 * k for k in range(5)])
    part = ([0.8 * 2.0**k for k in (1, 2, 3)], [33.0, 36.0, 39.0])
    found = bd_rate(*part, *anchor)
    assert found.percent == pytest.approx(-20)
    assert (found.lowest, found.highest) == (33, 39)


@pytest.mark.parametrize(
    ("rates", "qualities", "words"),
    [
        ([1.0], [30.0], "two points"),
        ([0.0, 1.0], [30.0, 31.0], "above 0"),
        ([1.0, 2.0, 3.0], [30.0, 32.0, 31.0], "must rise"),
        ([1.0, 2.0], [50.0, 60.0], "in common"),
    ],
)
def test_curves_that_cannot_be_compared(rates: list[float], qualities: list[float], words: str) -> None:
    """A clear refusal instead of a number."""
    with pytest.raises(ValueError, match=words):
        bd_rate(rates, qualities, *JPEG)
