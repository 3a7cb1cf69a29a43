"""Symbols to 16-bit words and back: four interleaved rANS states, all arithmetic in integers.

    state x in [2^16, 2^32); table of masses m[s], sum 2^16, starts c[s] = m[0] + ... + m[s-1]
    decode:  slot = x mod 2^16;  s with c[s] <= slot < c[s+1];  x = m[s] * (x div 2^16) + slot - c[s];
             if x < 2^16: x = x * 2^16 + next word
    encode:  the reverse, from the last symbol to the first, words written from the last to the first

A segment is a run of symbols that are coded in one call; its symbol i goes through state i mod 4, and states
and words go on from one segment to the next. The four states start the stream as two words each, high word
first; after the last symbol of a whole stream no word is left, states 2 and 3 are 2^16, and states 0 and 1
are 2^16 plus the low and the high half of a 32-bit seal (a checksum of what was coded, which so costs no
room).

Duda, "Asymmetric numeral systems" (2013); interleaving after Giesen, "Interleaved entropy coders" (2014).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.codec.jit import compiled
from pipeline.core.errors import CorruptBitstream

PRECISION_BITS = 16
TOTAL = 1 << PRECISION_BITS
LANES = 4
_LOWEST_STATE = 1 << 16
_WORD_BITS = 16
_BUCKET_BITS = 8  # slots are found through 2^8 buckets and a short walk
_OUT_OF_WORDS = -1


@dataclass(frozen=True)
class MassTables:
    """Probability tables, chosen by index for each symbol.

    Attributes:
        lowest: int32 (T,), the symbol that a table's first entry stands for.
        first: int32 (T + 1,), where each table's entries begin in `start`; its last entry is the escape.
        start: int32, sums of the masses before each entry; each table has one more, 65536.
        bucket: int32 (T, 256), the entry that holds slot 256 b.
    """

    lowest: NDArray[np.int32]
    first: NDArray[np.int32]
    start: NDArray[np.int32]
    bucket: NDArray[np.int32]

    @classmethod
    def from_masses(
        cls, lowest: NDArray[np.integer], size: NDArray[np.integer], mass: NDArray[np.uint16]
    ) -> MassTables:
        """Prepares tables for coding.

        Args:
            lowest: (T,), first symbol of each table.
            size: (T,), entries of each table, the escape included.
            mass: uint16, all tables one after the other; each at least 1, each table's sum 65536.

        Raises:
            ValueError: They do not add up.
        """
        ends = np.cumsum(size.astype(np.int64))
        if (size < 2).any() or ends[-1] != mass.size or (mass == 0).any():
            raise ValueError("the probability tables do not fit together")
        starts, buckets = [], []
        edges = np.arange(1 << _BUCKET_BITS) << (PRECISION_BITS - _BUCKET_BITS)
        for table in np.split(mass.astype(np.int32), ends[:-1]):
            start = np.concatenate([[0], np.cumsum(table)])
            if start[-1] != TOTAL:
                raise ValueError("a probability table does not sum to 65536")
            starts.append(start)
            buckets.append(np.searchsorted(start, edges, side="right") - 1)
        first = np.concatenate([[0], np.cumsum([start.size for start in starts])])
        return cls(
            lowest=lowest.astype(np.int32),
            first=first.astype(np.int32),
            start=np.concatenate(starts).astype(np.int32),
            bucket=np.stack(buckets).astype(np.int32),
        )


class Encoder:
    """Collects the words of one stream. Segments are given last first."""

    def __init__(self, capacity: int, seal: int = 0) -> None:
        """Makes room for a number of symbols, all segments together; the decoder ends with the seal."""
        self._words = np.empty(capacity + 2 * LANES, np.uint16)
        self._position = self._words.size
        self._states = np.full(LANES, _LOWEST_STATE, np.int64)
        self._states[0] += seal & 0xFFFF
        self._states[1] += seal >> _WORD_BITS

    def put(
        self, symbols: NDArray[np.int16], tables: NDArray[np.uint8], masses: MassTables
    ) -> NDArray[np.int16]:
        """Codes a segment; symbols and their table indices are flat.

        Returns:
            Symbols that their tables do not hold, in order: they are coded as escapes, and the caller
            keeps their values.
        """
        escaped = np.empty(symbols.size, np.int16)
        self._position, count = _encode(
            self._words,
            self._position,
            self._states,
            symbols,
            tables,
            masses.lowest,
            masses.first,
            masses.start,
            escaped,
        )
        return escaped[count:]

    def finish(self) -> NDArray[np.uint16]:
        """The words of the stream, states first."""
        position = self._position - 2 * LANES
        self._words[position : self._position : 2] = self._states >> _WORD_BITS
        self._words[position + 1 : self._position : 2] = self._states & 0xFFFF
        return self._words[position:]


class Decoder:
    """Reads one stream, segments in their order."""

    def __init__(self, words: NDArray[np.uint16]) -> None:
        """Takes the words of `Encoder.finish`.

        Raises:
            CorruptBitstream: No stream starts like this.
        """
        if words.size < 2 * LANES:
            raise CorruptBitstream("a tile's code is shorter than its first states")
        head = words[: 2 * LANES].astype(np.int64)
        self._states = head[::2] << _WORD_BITS | head[1::2]
        if (self._states < _LOWEST_STATE).any():
            raise CorruptBitstream("a tile's code starts with an impossible state")
        self._words, self._position = np.ascontiguousarray(words), 2 * LANES

    def get(
        self, tables: NDArray[np.uint8], masses: MassTables
    ) -> tuple[NDArray[np.int16], NDArray[np.int64]]:
        """Decodes the segment whose flat table indices are given.

        Returns:
            The symbols, and the positions of those that are escapes (their values are not yet right).

        Raises:
            CorruptBitstream: The words end too early.
        """
        symbols = np.empty(tables.size, np.int16)
        places = np.empty(tables.size, np.int64)
        position, escapes = _decode(
            self._words,
            self._position,
            self._states,
            tables,
            masses.lowest,
            masses.first,
            masses.start,
            masses.bucket,
            symbols,
            places,
        )
        if position == _OUT_OF_WORDS:
            raise CorruptBitstream("a tile's code ends too early")
        self._position = position
        return symbols, places[:escapes]

    def finish(self) -> int:
        """Checks that the stream ends here; returns the encoder's seal.

        Raises:
            CorruptBitstream: It does not end here.
        """
        rest = self._states - _LOWEST_STATE
        if self._position != self._words.size or (rest >= 1 << _WORD_BITS).any() or rest[2:].any():
            raise CorruptBitstream("a tile's code does not end where its symbols do")
        return int(rest[0] | rest[1] << _WORD_BITS)


@compiled
def _encode(words, position, states, symbols, tables, lowest, first, start, escaped):  # type: ignore[no-untyped-def]  # noqa: PLR0917
    count = symbols.size
    kept = escaped.size
    for i in range(count - 1, -1, -1):
        table = tables[i]
        base = first[table]
        escape = first[table + 1] - base - 2
        entry = np.int64(symbols[i]) - lowest[table]
        if entry < 0 or entry >= escape:
            entry = escape
            kept -= 1
            escaped[kept] = symbols[i]
        low = np.int64(start[base + entry])
        mass = np.int64(start[base + entry + 1]) - low
        x = states[i & 3]
        if x >= mass << 16:
            position -= 1
            words[position] = x & 0xFFFF
            x >>= 16
        quotient = np.int64(np.uint32(x) // np.uint32(mass))
        states[i & 3] = (quotient << 16) + (x - quotient * mass) + low
    return position, kept


@compiled
def _decode(words, position, states, tables, lowest, first, start, bucket, symbols, places):  # type: ignore[no-untyped-def]  # noqa: PLR0917
    escapes = 0
    end = words.size
    for i in range(tables.size):
        table = tables[i]
        base = first[table]
        x = states[i & 3]
        slot = x & 0xFFFF
        entry = bucket[table, slot >> 8]
        while start[base + entry + 1] <= slot:
            entry += 1
        low = np.int64(start[base + entry])
        x = (np.int64(start[base + entry + 1]) - low) * (x >> 16) + slot - low
        if x < 65536:
            if position == end:
                return -1, 0
            x = x << 16 | np.int64(words[position])
            position += 1
        states[i & 3] = x
        symbols[i] = entry + lowest[table]
        if entry == first[table + 1] - base - 2:
            places[escapes] = i
            escapes += 1
    return position, escapes
