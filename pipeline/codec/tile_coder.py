"""Symbols of one tile to bytes and back: z, then the first half of the residuals, then the second.

    payload = number of escapes | escapes | rANS words       numbers: 7 bits a byte, low first; escapes zigzag

One rANS stream holds the three segments. A symbol that its table does not hold is coded as the table's
escape, and its value stands in `escapes`, in the order of decoding: nothing is clipped. The stream ends with
the CRC-32 of all symbols (z, first, second; little-endian int16) in its states, so that a decoder that went
astray notices.
"""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray

from pipeline.codec.entropy_tables import EntropyTables
from pipeline.codec.rans import Decoder, Encoder, MassTables
from pipeline.core.errors import CorruptBitstream

_MOST_BYTES_A_NUMBER = 5
_WORD = "<u2"

Symbols = NDArray[np.int16]
Indices = NDArray[np.uint8]
Halves = tuple[tuple[Symbols, Indices], tuple[Symbols, Indices]]


def encode_tile(tables: EntropyTables, quality: int, z: Symbols, halves: Halves) -> bytes:
    """Codes a tile.

    Args:
        tables: The artifact's.
        quality: From 1.
        z: (Z, h, w).
        halves: Residuals and their table indices, both flat, of the first and the second half.
    """
    segments = [
        (z.ravel(), _channels(z.shape), tables.z(quality)),
        *((symbols, indices, tables.y) for symbols, indices in halves),
    ]
    seal = _crc(*(symbols for symbols, _, _ in segments))
    encoder = Encoder(sum(symbols.size for symbols, _, _ in segments), seal)
    escaped = [encoder.put(*segment) for segment in reversed(segments)]
    escapes = np.concatenate(escaped[::-1]).tolist()
    numbers = b"".join(_number(_zigzag(value)) for value in escapes)
    return _number(len(escapes)) + numbers + encoder.finish().astype(_WORD).tobytes()


class TileDecoder:
    """Reads one payload, segment by segment.

    Raises:
        CorruptBitstream: From any of its methods: the payload is no tile of this size and quality.
    """

    def __init__(self, payload: bytes) -> None:
        self._escapes, start = _read_escapes(payload)
        if (len(payload) - start) % 2:
            raise CorruptBitstream("a tile's code is no whole number of words")
        self._decoder = Decoder(np.frombuffer(payload, _WORD, offset=start).astype(np.uint16))
        self._used = 0
        self._crc = 0

    def z(self, tables: EntropyTables, quality: int, shape: tuple[int, int, int]) -> Symbols:
        """z, (Z, h, w)."""
        return self._segment(_channels(shape), tables.z(quality)).reshape(shape)

    def half(self, tables: EntropyTables, indices: Indices) -> Symbols:
        """The next half of the residuals, flat."""
        return self._segment(indices, tables.y)

    def finish(self) -> None:
        """Checks that all was read, and that it is what was coded."""
        if self._used != self._escapes.size:
            raise CorruptBitstream("a tile holds more than its symbols")
        if self._decoder.finish() != self._crc:
            raise CorruptBitstream("a tile decoded to other symbols than were coded")

    def _segment(self, indices: Indices, masses: MassTables) -> Symbols:
        symbols, places = self._decoder.get(indices, masses)
        if places.size > self._escapes.size - self._used:
            raise CorruptBitstream("a tile has fewer escaped symbols than it uses")
        symbols[places] = self._escapes[self._used : self._used + places.size]
        self._used += places.size
        self._crc = zlib.crc32(symbols.astype("<i2", copy=False).data, self._crc)
        return symbols


def _channels(shape: tuple[int, ...]) -> Indices:
    """The table index of each symbol of z: its channel."""
    return np.repeat(np.arange(shape[0], dtype=np.uint8), shape[1] * shape[2])


def _crc(*segments: Symbols) -> int:
    crc = 0
    for symbols in segments:
        crc = zlib.crc32(np.ascontiguousarray(symbols, "<i2").data, crc)
    return crc


def _read_escapes(payload: bytes) -> tuple[Symbols, int]:
    """The escaped values and the position after them."""
    count, position = _read_number(payload, 0)
    if count > len(payload) - position:
        raise CorruptBitstream("a tile claims more escaped symbols than it can hold")
    values = np.empty(count, np.int16)
    for i in range(count):
        number, position = _read_number(payload, position)
        if number > 2 * 2**15 - 1:
            raise CorruptBitstream("an escaped symbol is out of range")
        values[i] = (number >> 1) ^ -(number & 1)
    return values, position


def _zigzag(value: int) -> int:
    return (value << 1) ^ (value >> 31)


def _number(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _read_number(data: bytes, position: int) -> tuple[int, int]:
    value = 0
    for i in range(_MOST_BYTES_A_NUMBER):
        if position + i >= len(data):
            raise CorruptBitstream("a tile ends in the middle of a number")
        byte = data[position + i]
        value |= (byte & 0x7F) << (7 * i)
        if byte < 0x80:
            return value, position + i + 1
    raise CorruptBitstream("a number in a tile is too long")
