"""The payload of one tile."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.codec.entropy_tables import EntropyTables
from pipeline.codec.tile_coder import TileDecoder, encode_tile
from pipeline.core.errors import CorruptBitstream
from tests.support.codec import artifact

TABLES = EntropyTables.load(artifact().path("tables"))
SHAPE = (TABLES.hyper_channels, 2, 3)


def drawn(seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Residuals and levels that go together, some residuals far beyond their tables."""
    random = np.random.default_rng(seed)
    levels = random.integers(0, 64, count).astype(np.uint8)
    residuals = np.rint(random.normal(size=count) * 0.11 * 2 ** (levels / 6.86)).astype(np.int16)
    residuals[:: count // 5] = random.integers(-(2**15), 2**15, residuals[:: count // 5].size)
    return residuals, levels


Z = np.random.default_rng(0).integers(-3, 4, SHAPE).astype(np.int16)
HALVES = (drawn(1, 500), drawn(2, 499))
PAYLOAD = encode_tile(TABLES, 40, Z, HALVES)


def read(payload: bytes, quality: int = 40, shape: tuple[int, int, int] = SHAPE) -> list[np.ndarray]:
    decoder = TileDecoder(payload)
    found = [decoder.z(TABLES, quality, shape), *(decoder.half(TABLES, levels) for _, levels in HALVES)]
    decoder.finish()
    return found


def test_decoding_undoes_encoding() -> None:
    """All three segments come back, also what no table holds."""
    z, first, second = read(PAYLOAD)
    assert np.array_equal(z, Z)
    assert np.array_equal(first, HALVES[0][0])
    assert np.array_equal(second, HALVES[1][0])


def test_certain_symbols_are_free() -> None:
    """A thousand zeros at the lowest level cost a few words beside the states."""
    nothing = (np.zeros(0, np.int16), np.zeros(0, np.uint8))
    zeros = (np.zeros(1000, np.int16), np.zeros(1000, np.uint8))
    empty = np.zeros((TABLES.hyper_channels, 0, 0), np.int16)
    assert len(encode_tile(TABLES, 40, empty, (zeros, nothing))) <= 21


def test_another_size_or_quality_is_noticed() -> None:
    """Tables other than the encoder's lead to other symbols, and those to an error."""
    with pytest.raises(CorruptBitstream):
        read(PAYLOAD, quality=41)
    with pytest.raises(CorruptBitstream):
        read(PAYLOAD, shape=(TABLES.hyper_channels, 3, 3))


def test_every_flipped_bit_is_noticed() -> None:
    """No payload with one bit changed is taken for the one that was written."""
    for bit in range(0, 8 * len(PAYLOAD), 7):
        damaged = bytearray(PAYLOAD)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(CorruptBitstream):
            read(bytes(damaged))


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xff\xff\xff\xff\xff\xff",  # a number without end
        b"\x05",  # five escapes, none there
        b"\x01\xff\xff\xff\x7f",  # an escape beyond int16
        b"\x00abc",  # not a whole word
        b"\x00" + bytes(16),  # impossible states
        b"\x01\x02" + b"\x01\x00\x00\x00" * 4,  # an escape that nobody uses
        PAYLOAD[:-2],
        PAYLOAD + b"\x00\x00",
    ],
)
def test_malformed_payloads_are_refused(payload: bytes) -> None:
    """Forged payloads end in the typed error."""
    with pytest.raises(CorruptBitstream):
        read(payload)
