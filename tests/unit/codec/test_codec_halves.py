"""The two halves of the residuals."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.codec.halves import (
    Parameters,
    Rate,
    half_size,
    in_units_of_spread,
    indices_of_half,
    residuals_of_half,
    restore_half,
    tell,
)

RANDOM = np.random.default_rng(0)
ROWS, COLUMNS, CHANNELS = 5, 6, 8
PADDED = (CHANNELS, 8, 8)
RATE = Rate(
    gain=RANDOM.uniform(1, 4, CHANNELS).astype(np.float32),
    inverse_gain=RANDOM.uniform(0.25, 1, CHANNELS).astype(np.float32),
    unit=RANDOM.uniform(0.001, 0.004, CHANNELS).astype(np.float32),
    spread=RANDOM.integers(0, 2000, CHANNELS).astype(np.int32),
)


def parameters() -> Parameters:
    return Parameters(
        scale=RANDOM.integers(-3000, 3000, PADDED).astype(np.float32),
        mean=RANDOM.integers(-3000, 3000, PADDED).astype(np.float32),
    )


FIRST, CORRECTION = parameters(), parameters()
Y = RANDOM.normal(size=(CHANNELS // 4, 2 * ROWS, 2 * COLUMNS)).astype(np.float32) * 5


def unshuffled(y: np.ndarray) -> np.ndarray:
    """(M/4, 2h, 2w) to (M, h, w), by numpy."""
    q, h, w = y.shape
    return y.reshape(q, h // 2, 2, w // 2, 2).transpose(0, 2, 4, 1, 3).reshape(4 * q, h // 2, w // 2)


def places(half: int) -> list[tuple[int, int, int]]:
    return [
        (c, i, j)
        for c in range(CHANNELS)
        for i in range(ROWS)
        for j in range(COLUMNS)
        if (c + i + j) % 2 == half
    ]


@pytest.mark.parametrize("half", [0, 1])
def test_as_it_is_written_down(half: int) -> None:
    """Order, levels, residuals and y_hat are those of the formulas in the module's heading."""
    total = {name: getattr(FIRST, name) + half * getattr(CORRECTION, name) for name in ("scale", "mean")}
    levels = indices_of_half(half, ROWS, COLUMNS, RATE, FIRST, CORRECTION)
    residuals = residuals_of_half(half, Y, RATE, FIRST, CORRECTION)
    y_hat = np.zeros_like(Y)
    restore_half(half, residuals, RATE, FIRST, CORRECTION, y_hat)
    plain, restored = unshuffled(Y), unshuffled(y_hat)
    assert levels.size == residuals.size == half_size(CHANNELS, ROWS, COLUMNS, half) == len(places(half))
    for k, (c, i, j) in enumerate(places(half)):
        units = int(total["scale"][c, i, j]) + int(RATE.spread[c])
        assert levels[k] == min((max(units, 0) * 1756 + 2**15) >> 16, 63)
        mean = total["mean"][c, i, j] * RATE.unit[c]
        assert residuals[k] == np.rint(plain[c, i, j] * RATE.gain[c] - mean)
        assert restored[c, i, j] == (np.float32(residuals[k]) + mean) * RATE.inverse_gain[c]
    assert (restored != 0).sum() <= len(places(half))


def test_what_the_context_is_told() -> None:
    """The first half, limited to 31, zeros elsewhere."""
    residuals = np.arange(half_size(CHANNELS, ROWS, COLUMNS, 0)).astype(np.int16) - 60
    told = tell(residuals, ROWS, COLUMNS, PADDED)
    expected = np.zeros(PADDED, np.float32)
    for k, place in enumerate(places(0)):
        expected[place] = np.clip(residuals[k], -31, 31)
    assert np.array_equal(told, expected)


def test_what_the_hyper_encoder_sees() -> None:
    """Y in units of its usual spread, its last row and column of cells repeated."""
    scaled = in_units_of_spread(Y, RATE, 4)
    assert scaled.shape == PADDED
    expected = unshuffled(Y) * (RATE.gain / (RATE.unit * np.float32(1024)))[:, None, None]
    assert np.allclose(scaled[:, :ROWS, :COLUMNS], expected, rtol=1e-6)
    assert (scaled[:, ROWS:] == scaled[:, ROWS - 1 : ROWS]).all()
    assert (scaled[:, :, COLUMNS:] == scaled[:, :, COLUMNS - 1 : COLUMNS]).all()


def test_residuals_beyond_int16_are_limited() -> None:
    """A value that no residual can hold becomes the largest one, not another."""
    y = np.full_like(Y, 1e9)
    assert (residuals_of_half(0, y, RATE, FIRST, CORRECTION) == 2**15 - 1).all()
