"""Changes the sampling rate of a sound that comes in blocks: a polyphase filter, a Kaiser-windowed sinc.

Output n lies at input position n * M / L, L / M being the rates' ratio in lowest terms. So outputs with equal
n mod L have equal taps ("phases"), and each phase is one product of a strided view with its taps. A rate with
a long ratio is taken for the nearest one with a short ratio: the pitch is off by less than a ten-thousandth.
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import lru_cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Floats = NDArray[np.float32]

_ZEROS = 16  # zero crossings of the sinc to each side
_BETA = 8.6  # of the Kaiser window: 90 dB of stop band
_LONGEST_RATIO = 1024
_ROLL_OFF = 0.945  # of the lower Nyquist frequency: where the filter begins to close


class Resampler:
    """Turns blocks of one rate into blocks of another. Their edges leave no trace.

    Args:
        rate_in_hz: Of what comes.
        rate_out_hz: Of what is wanted.
    """

    def __init__(self, rate_in_hz: int, rate_out_hz: int) -> None:
        ratio = Fraction(rate_out_hz, rate_in_hz).limit_denominator(_LONGEST_RATIO)
        self._up, self._down = ratio.numerator, ratio.denominator
        self._taps = _bank(self._up, self._down)
        self._half = self._taps.shape[1] // 2
        self._held = np.zeros(self._half, np.float32)  # begins with silence
        self._held_from = -self._half  # input position of its first sample
        self._seen = 0
        self._given = 0

    def push(self, block: Floats) -> Floats:
        """What can be said after another block of samples, (N,)."""
        self._held = np.concatenate([self._held, block])
        self._seen += len(block)
        return self._ready(self._seen)

    def finish(self) -> Floats:
        """The rest, as if silence followed."""
        self._held = np.concatenate([self._held, np.zeros(2 * self._half + 1, np.float32)])
        end = -(-self._seen * self._up // self._down)  # as many as there is time for
        return self._outputs(max(0, end - self._given))

    def _ready(self, seen: int) -> Floats:
        """Outputs whose taps end before input position `seen`."""
        last = ((seen - self._half - 1) * self._up) // self._down
        return self._outputs(max(0, last - self._given))

    def _outputs(self, count: int) -> Floats:
        out = np.empty(count, np.float32)
        width = 2 * self._half + 1
        windows = sliding_window_view(self._held, width) if count else self._held
        for first in range(min(count, self._up)):
            place = (self._given + first) * self._down
            start = place // self._up - self._half - self._held_from
            many = -(-(count - first) // self._up)
            rows = windows[start : start + many * self._down : self._down]
            out[first :: self._up] = rows @ self._taps[place % self._up]
        self._given += count
        self._forget()
        return out

    def _forget(self) -> None:
        """Drops samples that no later output looks at."""
        oldest = self._given * self._down // self._up - self._half
        drop = min(max(0, oldest - self._held_from), len(self._held))
        self._held, self._held_from = self._held[drop:], self._held_from + drop


@lru_cache(maxsize=16)
def _bank(up: int, down: int) -> Floats:
    """Taps for outputs that lie phase / L after an input sample, (L, 2 half + 1), each row of sum 1."""
    scale = min(1.0, up / down) * _ROLL_OFF
    half = math.ceil(_ZEROS / scale)
    distance = np.arange(-half, half + 1) - np.arange(up)[:, None] / up
    inside = np.clip(1 - (distance / (half + 1)) ** 2, 0, None)
    taps = np.sinc(scale * distance) * np.i0(_BETA * np.sqrt(inside))
    bank: Floats = (taps / taps.sum(axis=1, keepdims=True)).astype(np.float32)
    return bank
