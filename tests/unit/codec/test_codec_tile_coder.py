"""The entropy coder of one tile."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.codec.tables import TOTAL, ChannelTable
from pipeline.codec.tile_coder import decode_tile, encode_tile
from pipeline.core.errors import CorruptBitstream


def table(lowest: int, masses: list[int]) -> ChannelTable:
    """A table of these masses and, last, the escape with the rest."""
    return ChannelTable(lowest, np.array([*masses, TOTAL - sum(masses)], np.uint16))


TABLES = [table(-1, [9_000, 47_000, 9_000]), table(0, [65_535]), table(-3, [100, 20_000, 45_000])]


def draw(height: int, width: int, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    planes = [
        random.integers(-1, 2, (height, width)),
        np.zeros((height, width)),
        np.full((height, width), -2),
    ]
    return np.array(planes, np.int16)


def test_decoding_undoes_encoding() -> None:
    """Symbols come back, also those that no table holds."""
    symbols = draw(16, 9)
    symbols[1, 3, 4], symbols[0, 0, 0], symbols[2, 15, 8], symbols[0, 7, 7] = 1, -32768, 32767, -2
    payload = encode_tile(symbols, TABLES)
    assert np.array_equal(decode_tile(payload, 16, 9, TABLES), symbols)


def test_size_is_the_information_content() -> None:
    """The code is within 1 % and two words of what the tables say."""
    random = np.random.default_rng(3)
    probabilities = TABLES[0].mass[:3] / TABLES[0].mass[:3].sum()
    symbols = random.choice([-1, 0, 1], size=(1, 128, 128), p=probabilities).astype(np.int16)
    bits = -np.log2(TABLES[0].mass[symbols + 1] / TOTAL).sum()
    assert len(encode_tile(symbols, TABLES[:1])) * 8 <= bits * 1.01 + 72


def test_certain_symbols_are_free() -> None:
    """A channel that is all zero under a table that expects it costs a few bytes."""
    assert len(encode_tile(np.zeros((1, 128, 128), np.int16), [TABLES[1]])) <= 9


def test_another_size_is_noticed() -> None:
    """Too few or too many symbols for the code is corruption."""
    payload = encode_tile(draw(16, 16), TABLES)
    for height, width in ((15, 16), (16, 17)):
        with pytest.raises(CorruptBitstream):
            decode_tile(payload, height, width, TABLES)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xff\xff\xff\xff\xff\xff",  # a number without end
        b"\x05",  # five escapes, none there
        b"\x01\xff\xff\xff\x7f",  # an escape beyond int16
        b"\x00abc",  # not a whole word
        b"\x00\x01\x00\x00\x00\x00\x00\x00\x00",  # ends in a zero word
        b"\x01\x02" + b"\x07\x00\x00\x00",  # an escape that nobody uses
    ],
)
def test_malformed_payloads_are_refused(payload: bytes) -> None:
    """Forged payloads end in the typed error."""
    with pytest.raises(CorruptBitstream):
        decode_tile(payload, 4, 4, TABLES)
