"""A decoder of rANS streams in plain Python, written from docs/format.md."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate


class Stream:
    """One stream, read segment by segment."""

    def __init__(self, words: Sequence[int]) -> None:
        self._rest = iter(words)
        self._states = [next(self._rest) * 65536 + next(self._rest) for _ in range(4)]

    def segment(
        self, tables: Sequence[int], masses: Sequence[Sequence[int]], lowest: Sequence[int]
    ) -> list[int | None]:
        """The next symbols, None where one is an escape.

        Args:
            tables: For each symbol the index of its table.
            masses: For each table its masses, the escape's last.
            lowest: For each table the symbol of its first mass.
        """
        symbols: list[int | None] = []
        for i, table in enumerate(tables):
            state = self._states[i % 4]
            slot = state % 65536
            ends = list(accumulate(masses[table]))
            entry = next(k for k, end in enumerate(ends) if slot < end)
            mass = masses[table][entry]
            state = mass * (state // 65536) + slot - (ends[entry] - mass)
            if state < 65536:
                state = state * 65536 + next(self._rest)
            self._states[i % 4] = state
            symbols.append(None if entry == len(ends) - 1 else lowest[table] + entry)
        return symbols

    def seal(self) -> int:
        """Checks that the stream ends here, and gives what its first two states hold."""
        assert [state // 65536 for state in self._states] == [1] * 4
        assert self._states[2:] == [65536] * 2
        assert next(self._rest, None) is None
        return self._states[0] % 65536 + self._states[1] % 65536 * 65536


def decode_segments(
    words: Sequence[int],
    segments: Sequence[Sequence[int]],
    masses: Sequence[Sequence[int]],
    lowest: Sequence[int],
) -> Iterator[list[int | None]]:
    """The symbols of each segment, all with the same tables; then the stream must end."""
    stream = Stream(words)
    for tables in segments:
        yield stream.segment(tables, masses, lowest)
    stream.seal()
