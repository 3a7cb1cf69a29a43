"""The entropy coder's checks of what it is given."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.codec.rans import Decoder, Encoder, MassTables
from pipeline.core.errors import CorruptBitstream

TABLE = MassTables.from_masses(np.array([-1]), np.array([4]), np.array([10000, 40000, 15000, 536], np.uint16))


@pytest.mark.parametrize(
    ("sizes", "mass"),
    [
        ([2], [30000, 30000]),  # sum
        ([2], [65535, 0]),  # an impossible symbol
        ([3], [30000, 35536]),  # sizes and masses
        ([1, 1], [1, 65535]),  # no room for an escape
    ],
)
def test_tables_that_do_not_add_up(sizes: list[int], mass: list[int]) -> None:
    """Broken tables are refused before anything is coded with them."""
    with pytest.raises(ValueError, match="probability table"):
        MassTables.from_masses(np.zeros(len(sizes), int), np.array(sizes), np.array(mass, np.uint16))


def test_an_empty_stream_is_its_four_states() -> None:
    """No symbols: 16 bytes, and they end well, with the seal."""
    words = Encoder(0, seal=0xDEADBEEF).finish()
    assert words.tolist() == [1, 0xBEEF, 1, 0xDEAD, 1, 0, 1, 0]
    assert Decoder(words).finish() == 0xDEADBEEF


@pytest.mark.parametrize("words", [[], [1, 0, 1, 0, 1, 0, 1], [0, 5, 1, 0, 1, 0, 1, 0]])
def test_impossible_starts(words: list[int]) -> None:
    """Too few words, or a state below 2^16, are damage."""
    with pytest.raises(CorruptBitstream):
        Decoder(np.array(words, np.uint16))


def test_symbols_left_over_are_damage() -> None:
    """Fewer symbols read than were written: the end does not fit."""
    symbols, indices = np.array([0, 1, -1, 0, 1] * 20, np.int16), np.zeros(100, np.uint8)
    encoder = Encoder(100)
    encoder.put(symbols, indices, TABLE)
    decoder = Decoder(encoder.finish())
    assert np.array_equal(decoder.get(indices[:50], TABLE)[0], symbols[:50])
    with pytest.raises(CorruptBitstream, match="does not end"):
        decoder.finish()


def test_the_words_are_for_ever() -> None:
    """The bytes of one small stream, written down: the coder must not change."""
    symbols = np.array([0, 0, 1, -1, 0, 7, 0, 0, 1, 0], np.int16)
    encoder = Encoder(10)
    escaped = encoder.put(symbols, np.zeros(10, np.uint8), TABLE)
    assert escaped.tolist() == [7]
    assert encoder.finish().tolist() == [12, 36432, 309, 36072, 6, 61072, 10, 1072]
