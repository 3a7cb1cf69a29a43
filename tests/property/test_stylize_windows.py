"""Whatever a picture's size, the windows and what is kept: windows give what the whole gives."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.inference.painter import Brush
from tests.support.codec import landscape
from tests.support.stylize import gallery_picture, painter_of

WHOLE = painter_of()


@lru_cache(maxsize=2)
def style(name: str) -> np.ndarray:
    return WHOLE.encode_style(gallery_picture(name, 128))


@settings(max_examples=25, deadline=None)
@given(
    height_px=st.integers(1, 260),
    width_px=st.integers(1, 260),
    window_px=st.sampled_from([64, 96, 104, 200]),
    keep=st.booleans(),
    beta=st.floats(0, 1),
    seed=st.integers(0, 9),
)
def test_windows_are_the_whole(
    *, height_px: int, width_px: int, window_px: int, keep: bool, beta: float, seed: int
) -> None:
    """Less than a grey level apart: no sample moves but by a half that rounds the other way."""
    picture = landscape(height_px, width_px, seed)
    windows = painter_of(window_px=window_px, kept_px=1 << 30 if keep else 0)
    brush = [Brush(style("glass"), 1 - beta, beta)]
    expected = WHOLE.paint(WHOLE.study(picture), brush)
    found = windows.paint(windows.study(picture), brush)
    assert np.abs(found.astype(int) - expected).max() <= 1
    assert (found != expected).mean() < 1e-3
