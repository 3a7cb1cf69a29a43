"""Resampling by blocks: edges leave no trace, tones keep their place, what cannot be kept is gone."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.audio.resample import Floats, Resampler

RATE = 16_000


def resampled(samples: Floats, rate: int, blocks: list[int] | None = None) -> Floats:
    change = Resampler(rate, RATE)
    parts, at = [], 0
    for size in blocks or [len(samples)]:
        parts.append(change.push(samples[at : at + size]))
        at += size
    parts += [change.push(samples[at:]), change.finish()]
    return np.concatenate(parts)


def sine(hertz: float, rate: int, seconds: float = 1) -> Floats:
    return np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate).astype(np.float32)


@pytest.mark.parametrize("rate", [8000, 11_025, 22_050, 32_000, 44_100, 48_000, 96_000, 192_000])
@pytest.mark.parametrize("hertz", [100, 1000, 3000])
def test_tones_keep_their_place(rate: int, hertz: float) -> None:
    """As many samples as there is time for, each where it belongs, within 0.1 %."""
    found = resampled(sine(hertz, rate), rate)
    assert len(found) == RATE
    assert np.abs(found - sine(hertz, RATE))[200:-200].max() < 1e-3


@pytest.mark.parametrize("rate", [44_100, 48_000, 11_025])
def test_blocks_leave_no_trace(rate: int) -> None:
    """Cut anywhere, a sample at a time too, it is the same."""
    samples = np.random.default_rng(0).standard_normal(rate // 4).astype(np.float32)
    whole = resampled(samples, rate)
    for blocks in ([1] * 300, [7, 1000, 1, 1, 2000], [0, 0, 5000]):
        assert np.allclose(resampled(samples, rate, blocks), whole, atol=1e-6)


def test_what_is_above_the_new_rate_is_gone() -> None:
    """A tone of 10 kHz would come back as one of 6 kHz."""
    assert np.abs(resampled(sine(10_000, 48_000), 48_000))[200:-200].max() < 1e-3


def test_odd_rates() -> None:
    """A rate without a short ratio is taken for a near one: off by less than a ten-thousandth."""
    found = resampled(sine(440, 44_099, 3), 44_099)
    assert len(found) == pytest.approx(3 * RATE, rel=1e-4)


@pytest.mark.parametrize("length", [0, 1, 2, 50])
def test_next_to_nothing(length: int) -> None:
    found = resampled(np.ones(length, np.float32), 48_000)
    assert len(found) == -(-length // 3)
