"""Symbols of one tile to bytes and back: rANS with fixed tables (constriction), escapes as plain numbers.

    payload = number of escapes | escapes | rANS words       numbers: zigzag, 7 bits a byte, low first

Channels are coded one after the other, each with its own table, rows of cells from the top. A symbol that
its table does not hold is coded as the table's escape, and its value stands in `escapes`: nothing is
clipped.
"""

from __future__ import annotations

from collections.abc import Sequence

import constriction
import numpy as np
from numpy.typing import NDArray

from pipeline.codec.tables import TOTAL, ChannelTable
from pipeline.core.errors import CorruptBitstream

_MOST_BYTES_A_NUMBER = 5


def encode_tile(symbols: NDArray[np.int16], tables: Sequence[ChannelTable]) -> bytes:
    """Codes int16 symbols (C, h, w) with a table for each channel."""
    coder = constriction.stream.stack.AnsCoder()
    escapes: list[NDArray[np.int16]] = []
    # rANS is a stack: what the decoder shall see first is encoded last.
    for channel, table in reversed(list(zip(symbols, tables, strict=True))):
        flat = channel.ravel()
        index = flat.astype(np.int32) - table.lowest
        outside = (index < 0) | (index >= table.escape)
        if outside.any():
            escapes.append(flat[outside])
            index[outside] = table.escape
        coder.encode_reverse(index, _model(table))
    numbers = np.concatenate(escapes[::-1]).tolist() if escapes else []
    words = np.asarray(coder.get_compressed(), dtype="<u4")
    return _number(len(numbers)) + b"".join(_number(_zigzag(n)) for n in numbers) + words.tobytes()


def decode_tile(payload: bytes, height: int, width: int, tables: Sequence[ChannelTable]) -> NDArray[np.int16]:
    """The int16 symbols (C, height, width) of a payload.

    Raises:
        CorruptBitstream: The payload was not made by `encode_tile` with these tables and this size.
    """
    escapes, start = _read_escapes(payload, height * width * len(tables))
    coder = _coder(payload[start:])
    symbols = np.empty((len(tables), height * width), np.int16)
    used = 0
    for channel, table in zip(symbols, tables, strict=True):
        index = coder.decode(_model(table), channel.size)
        channel[:] = index + table.lowest
        places = np.flatnonzero(index == table.escape)
        if places.size > escapes.size - used:
            raise CorruptBitstream("a tile has fewer escaped symbols than it uses")
        channel[places] = escapes[used : used + places.size]
        used += places.size
    if used != escapes.size or not coder.is_empty():
        raise CorruptBitstream("a tile holds more than its symbols")
    return symbols.reshape(len(tables), height, width)


def _model(table: ChannelTable) -> constriction.stream.model.Categorical:
    # Not perfect: constriction then turns multiples of 2**-16 into its 24-bit tables in one pass, by IEEE
    # arithmetic that is the same everywhere. Lazy is faster here and changes no bit.
    return constriction.stream.model.Categorical(
        table.mass.astype(np.float64) / TOTAL, perfect=False, lazy=True
    )


def _coder(data: bytes) -> constriction.stream.stack.AnsCoder:
    if len(data) % 4:
        raise CorruptBitstream("a tile's code is no whole number of words")
    words = np.frombuffer(data, dtype="<u4").astype(np.uint32)
    try:
        return constriction.stream.stack.AnsCoder(words)
    except ValueError as error:
        raise CorruptBitstream("a tile's code ends in a zero word") from error


def _read_escapes(payload: bytes, most: int) -> tuple[NDArray[np.int16], int]:
    """The escaped values and the position after them."""
    count, position = _read_number(payload, 0)
    if count > min(most, len(payload) - position):
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
