"""The front end of the audio encoder: 16 kHz samples to patches of a log-mel spectrogram.

The numbers are YAMNet's: frames of 25 ms every 10 ms, 64 mel bands (HTK scale) from 125 to 7,500 Hz of the
magnitude spectrum, log(mel + 0.001), patches of 96 frames every 48.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

SAMPLE_RATE_HZ = 16_000
BANDS = 64
PATCH_FRAMES = 96
HOP_FRAMES = 48
MOST_PATCHES = 20  # 10 seconds at the hop above; a longer sound is looked at in 20 places
_WINDOW, _STEP, _FFT = 400, 160, 512
_LOWEST_HZ, _HIGHEST_HZ = 125.0, 7500.0
_PATCH_SAMPLES = _WINDOW + (PATCH_FRAMES - 1) * _STEP
_HOP_SAMPLES = HOP_FRAMES * _STEP


def log_mel_patches(samples: Floats) -> Floats:
    """What the audio encoder looks at.

    A sound shorter than a patch is repeated until it fills one; of a long one, MOST_PATCHES patches at equal
    distances are taken.

    Args:
        samples: Mono, 16 kHz, in [-1, 1], (N,), N at least 1.

    Returns:
        (P, 96, 64), P in [1, 20], from log(0.001) up.
    """
    if len(samples) < _PATCH_SAMPLES:
        samples = np.tile(samples, -(-_PATCH_SAMPLES // len(samples)))[:_PATCH_SAMPLES]
    last = (len(samples) - _PATCH_SAMPLES) // _HOP_SAMPLES
    count = min(last + 1, MOST_PATCHES)
    starts = np.round(np.linspace(0, last, count)).astype(int) * _HOP_SAMPLES
    offsets = np.arange(PATCH_FRAMES)[:, None] * _STEP + np.arange(_WINDOW)
    frames = samples[starts[:, None, None] + offsets] * _hann()
    magnitudes = np.abs(np.fft.rfft(frames, _FFT)).astype(np.float32)
    patches: Floats = np.log(magnitudes @ _mel_matrix() + 0.001)
    return patches


@cache
def _hann() -> Floats:
    window: Floats = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_WINDOW) / _WINDOW)).astype(np.float32)
    return window


@cache
def _mel_matrix() -> Floats:
    """(257, 64): triangles at equal distances on the HTK mel scale; the constant part counts for nothing."""

    def mel(hertz: NDArray[np.float64] | float) -> NDArray[np.float64]:
        return 1127.0 * np.log1p(np.asarray(hertz) / 700.0)

    bins = mel(np.linspace(0, SAMPLE_RATE_HZ / 2, _FFT // 2 + 1))[:, None]
    edges = np.linspace(mel(_LOWEST_HZ), mel(_HIGHEST_HZ), BANDS + 2)
    lower, centre, upper = edges[:-2], edges[1:-1], edges[2:]
    rise, fall = (bins - lower) / (centre - lower), (upper - bins) / (upper - centre)
    matrix = np.maximum(0, np.minimum(rise, fall)).astype(np.float32)
    matrix[0] = 0
    out: Floats = matrix
    return out
