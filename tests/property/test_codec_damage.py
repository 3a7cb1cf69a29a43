"""Damaged and forged .tri files: the typed error or a picture, in bounded time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.codec.alpha import pack_alpha
from pipeline.codec.container import Extras, TriFile, parse
from pipeline.core.errors import CorruptBitstream, TriptychError
from pipeline.core.operation import HandlerContext, ItemInput, Limits
from pipeline.inference.decompress import Decompressor
from pipeline.operations.decompress import DecompressParams
from tests.support.codec import artifact, codec, landscape
from tests.support.mutations import mutated

PIXELS = landscape(90, 130)
ALPHA = np.arange(90 * 130, dtype=np.uint32).reshape(90, 130).astype(np.uint8)
FILE = codec().encode(PIXELS, 60, extras=Extras(alpha=pack_alpha(ALPHA)))
DATA = FILE.to_bytes()
DECOMPRESSOR = Decompressor(
    HandlerContext(device="cpu", artifacts={"compression": artifact()}, limits=Limits(max_pixels=4_000_000))
)
CODES = {"corrupt_bitstream", "image_too_large", "artifact_not_found"}


def picture_or_error(data: bytes) -> TriptychError | None:
    """None if it decodes to a picture."""
    try:
        output = DECOMPRESSOR.run(ItemInput(data, "x.tri", DecompressParams(format="webp")))
    except TriptychError as error:
        return error
    assert output.data
    return None


@settings(max_examples=100, deadline=None)
@given(length=st.integers(0, len(DATA) - 1))
def test_truncation(length: int) -> None:
    """A file cut anywhere is corrupt."""
    with pytest.raises(CorruptBitstream):
        parse(DATA[:length])


@settings(max_examples=100, deadline=None)
@given(bit=st.integers(0, 8 * len(DATA) - 1))
def test_bit_flip(bit: int) -> None:
    """A flipped bit anywhere is noticed."""
    damaged = bytearray(DATA)
    damaged[bit // 8] ^= 1 << bit % 8
    assert isinstance(picture_or_error(bytes(damaged)), CorruptBitstream)


@settings(max_examples=60, deadline=None)
@given(start=st.integers(0, len(DATA)), garbage=st.binary(max_size=60), end=st.integers(0, len(DATA)))
def test_splices(start: int, garbage: bytes, end: int) -> None:
    """Cut, doubled and overwritten parts: corrupt, unless nothing changed."""
    spliced = DATA[:start] + garbage + DATA[end:]
    error = picture_or_error(spliced)
    assert (error is None) == (spliced == DATA)
    assert error is None or isinstance(error, CorruptBitstream)


@settings(max_examples=60, deadline=None)
@given(
    payload=st.binary(max_size=300) | st.integers(0, 5000).map(lambda n: FILE.tiles[0][: n % 2000]),
    flips=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 7)), max_size=4),
)
def test_forged_payloads(payload: bytes, flips: list[tuple[int, int]]) -> None:
    """Wrong bytes in a file whose header fits: what the coder makes of them is noticed."""
    forged = bytearray(payload)
    for place, bit in flips:
        if forged:
            forged[place % len(forged)] ^= 1 << bit
    if bytes(forged) != FILE.tiles[0]:
        file = replace(FILE, tiles=(bytes(forged),))
        assert isinstance(picture_or_error(file.to_bytes()), CorruptBitstream)


@settings(max_examples=60, deadline=None)
@given(
    width=st.integers(1, 2**32 - 1) | st.integers(1, 200),
    height=st.integers(1, 2**32 - 1) | st.integers(1, 200),
    quality=st.integers(1, 100),
    is_grey=st.booleans(),
)
def test_forged_headers(width: int, height: int, quality: int, is_grey: bool) -> None:
    """Other sizes and qualities with right checksums: refused, or a picture of as many cells."""
    file = TriFile(width, height, quality, FILE.model, is_grey, FILE.tiles)
    error = picture_or_error(file.to_bytes())
    if error is None:
        assert -(-width // 16) == -(-130 // 16)
        assert -(-height // 16) == -(-90 // 16)
    else:
        assert error.code in CODES


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_mutations(seed: int) -> None:
    """Truncated, flipped, spliced, hostile headers, checksums made right again or not."""
    error = picture_or_error(mutated(DATA, seed))
    assert error is None or error.code in CODES
