"""Maps a token become maps a word."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
_WITHOUT_SPACES = ("zh",)


def words_of(text: str, pieces: Sequence[str], maps: Floats, language: str) -> tuple[tuple[str, Floats], ...]:
    """The words of a text, each with the mean of its pieces' maps.

    Args:
        text: As people write it.
        pieces: Of each token, in order, in any case, with or without the space before it. The text ends at
        the
            first that does not follow in it (the second sentence of two begins there).
        maps: float32 (tokens, h, w), each of sum 1.
        language: In Chinese, which has no spaces, each piece is a word.

    Returns:
        Words and maps of sum 1.
    """
    plain, at = text.casefold(), 0
    words: list[tuple[str, list[Floats]]] = []
    for piece, one in zip(pieces, maps, strict=True):
        bare = piece.strip().casefold()
        found = plain.find(bare, at) if bare else -1
        if found < 0 or plain[at:found].strip():
            break
        shown = text[found : found + len(bare)]
        if found > at or not words or language in _WITHOUT_SPACES:
            words.append((shown, [one]))
        else:
            words[-1] = (words[-1][0] + shown, [*words[-1][1], one])
        at = found + len(bare)
    return tuple((word, np.stack(looks).mean(axis=0)) for word, looks in words)
