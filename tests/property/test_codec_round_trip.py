"""Any size, any quality: what comes out has the size of what went in and looks like it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.codec.alpha import pack_alpha, unpack_alpha
from pipeline.codec.container import Extras, TriFile, parse
from pipeline.metrics.psnr import psnr_db
from tests.support.codec import codec, landscape

CANVAS = landscape(3072, 4096)
SMALL, LARGE = st.integers(1, 100), st.integers(1, 700)
SIZES = st.one_of(
    st.tuples(SMALL, SMALL),
    st.tuples(LARGE, LARGE),
    st.tuples(st.integers(1, 12), st.integers(1, 4096)),
    st.tuples(st.integers(1, 3072), st.integers(1, 12)),
)


@settings(max_examples=60, deadline=None)
@given(size=SIZES, quality=st.integers(1, 100), corner=st.tuples(st.integers(0, 3071), st.integers(0, 4095)))
@example(size=(1, 1), quality=50, corner=(0, 0))
@example(size=(63, 65), quality=100, corner=(5, 7))
@example(size=(1025, 1031), quality=30, corner=(0, 0))
@example(size=(1, 4096), quality=50, corner=(0, 0))
@example(size=(7, 9), quality=1, corner=(0, 0))
def test_round_trip_of_any_size(size: tuple[int, int], quality: int, corner: tuple[int, int]) -> None:
    """The decoded picture has the right size and is close: at least 20 dB, 30 from quality 50 on."""
    top, left = min(corner[0], 3072 - size[0]), min(corner[1], 4096 - size[1])
    pixels = CANVAS[top : top + size[0], left : left + size[1]]
    data = codec().encode(pixels, quality).to_bytes()
    decoded = codec().decode(parse(data))
    assert decoded.shape == pixels.shape
    assert (psnr_db(pixels, decoded) or 99) > (20 if quality < 50 else 30)


@settings(max_examples=100, deadline=None)
@given(
    sizes=st.tuples(st.integers(1, 3000), st.integers(1, 3000)),
    quality=st.integers(1, 100),
    model=st.binary(min_size=16, max_size=16),
    is_grey=st.booleans(),
    data=st.data(),
)
def test_parse_undoes_to_bytes(
    sizes: tuple[int, int],
    quality: int,
    model: bytes,
    is_grey: bool,
    data: st.DataObject,
) -> None:
    """parse(to_bytes(file)) is the file."""
    count = -(-sizes[0] // 1024) * -(-sizes[1] // 1024)
    tiles = data.draw(st.lists(st.binary(max_size=40), min_size=count, max_size=count))
    maybe = st.none() | st.binary(max_size=50)
    extras = Extras(*(data.draw(maybe) for _ in range(4)))
    file = TriFile(*sizes, quality, model, is_grey, tuple(tiles), extras)
    assert parse(file.to_bytes()) == file


@settings(max_examples=100, deadline=None)
@given(
    height=st.integers(1, 300), width=st.integers(1, 300), seed=st.integers(0, 9), levels=st.integers(1, 256)
)
def test_alpha_of_any_size(height: int, width: int, seed: int, levels: int) -> None:
    """Alpha planes come back exactly, noisy or flat."""
    alpha = np.random.default_rng(seed).integers(0, levels, (height, width), dtype=np.uint8)
    assert np.array_equal(unpack_alpha(pack_alpha(alpha), height, width), alpha)


@pytest.mark.parametrize("size", [(1, 5000), (16385, 3), (1600, 1700)])
def test_long_and_large_pictures(size: tuple[int, int]) -> None:
    """Sizes beyond the canvas of the other tests, or beyond one window."""
    pixels = landscape(*size)
    decoded = codec().decode(parse(codec().encode(pixels, 60).to_bytes()))
    assert decoded.shape == pixels.shape
    assert (psnr_db(pixels, decoded) or 99) > 25
