"""The audio front end: the right bands, the right number of patches, whatever the length."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.inference.log_mel import BANDS, MOST_PATCHES, PATCH_FRAMES, SAMPLE_RATE_HZ, log_mel_patches


def tone(hertz: float, seconds: float) -> np.ndarray:
    return np.sin(2 * np.pi * hertz * np.arange(int(SAMPLE_RATE_HZ * seconds)) / SAMPLE_RATE_HZ).astype(
        np.float32
    )


def mel(hertz: float) -> float:
    return 1127 * float(np.log1p(hertz / 700))


@pytest.mark.parametrize("hertz", [250.0, 1000.0, 4000.0])
def test_a_tone_is_loudest_in_its_band(hertz: float) -> None:
    """Band b is centred on the (b + 1)th of 65 equal steps of mel from 125 to 7,500 Hz."""
    expected = (mel(hertz) - mel(125)) / ((mel(7500) - mel(125)) / (BANDS + 1)) - 1
    found = log_mel_patches(tone(hertz, 1.0)).mean(axis=(0, 1)).argmax()
    assert abs(found - expected) <= 1


@pytest.mark.parametrize(
    ("samples", "patches"),
    [(1, 1), (15_600, 1), (23_279, 1), (23_280, 2), (80_000, 9), (16_000 * 3600, MOST_PATCHES)],
)
def test_number_of_patches(samples: int, patches: int) -> None:
    """96 frames take 15,600 samples; each further patch takes 7,680 more; an hour gives 20."""
    assert log_mel_patches(np.zeros(samples, np.float32)).shape == (patches, PATCH_FRAMES, BANDS)


def test_silence_is_the_floor() -> None:
    np.testing.assert_allclose(log_mel_patches(np.zeros(16_000, np.float32)), np.log(0.001), rtol=1e-5)


def test_long_sounds_are_looked_at_from_start_to_end() -> None:
    """What is heard in the last second only is in the last patch only."""
    samples = np.zeros(16_000 * 60, np.float32)
    samples[-16_000:] = tone(1000, 1.0)
    loudness = log_mel_patches(samples).max(axis=(1, 2))
    assert loudness[-1] > 0 > loudness[:-1].max()
