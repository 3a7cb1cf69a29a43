"""A decoder of rANS streams in plain Python, written from the specification heading `pipeline.codec.rans`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate


def decode_segments(
    words: Sequence[int],
    segments: Sequence[Sequence[int]],
    masses: Sequence[Sequence[int]],
    lowest: Sequence[int],
) -> Iterator[list[int | None]]:
    """The symbols of each segment, None where one is an escape.

    Args:
        words: The whole stream.
        segments: For each segment, the index of the table of each of its symbols.
        masses: For each table its masses, the escape's last.
        lowest: For each table the symbol of its first mass.
    """
    rest = iter(words)
    states = [next(rest) * 65536 + next(rest) for _ in range(4)]
    for tables in segments:
        symbols: list[int | None] = []
        for i, table in enumerate(tables):
            state = states[i % 4]
            slot = state % 65536
            ends = list(accumulate(masses[table]))
            entry = next(k for k, end in enumerate(ends) if slot < end)
            mass = masses[table][entry]
            state = mass * (state // 65536) + slot - (ends[entry] - mass)
            if state < 65536:
                state = state * 65536 + next(rest)
            states[i % 4] = state
            symbols.append(None if entry == len(ends) - 1 else lowest[table] + entry)
        yield symbols
    assert states == [65536] * 4
    assert next(rest, None) is None
