"""CIDEr-D (Vedantam et al., 2015) of captions against references, scaled as pycocoevalcap does.

Kept as prepared vectors, so that a training that maximises it can ask thousands of times.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

Token: TypeAlias = str | int
NGram: TypeAlias = tuple[Token, ...]

_LONGEST = 4
_SIGMA = 6.0  # of the Gaussian penalty on a difference of lengths


@dataclass(frozen=True)
class _Vector:
    weights: tuple[dict[NGram, float], ...]  # tf-idf by length of the n-gram
    norms: tuple[float, ...]
    length: int


class Cider:
    """The score over a set of items.

    Args:
        references: Of each item, its reference captions as sequences of tokens.
    """

    def __init__(self, references: Sequence[Sequence[Sequence[Token]]]) -> None:
        documents: Counter[NGram] = Counter()
        for captions in references:
            documents.update({gram for caption in captions for gram in _grams(caption)})
        self._documents, self._log_items = documents, math.log(max(2, len(references)))
        self._references = [[self._vector(caption) for caption in captions] for captions in references]

    def score(self, item: int, caption: Sequence[Token]) -> float:
        """Of one caption for an item; 0 is nothing in common, and people reach about 0.8 to 1."""
        found = self._vector(caption)
        references = self._references[item]
        total = 0.0
        for wanted in references:
            penalty = math.exp(-((found.length - wanted.length) ** 2) / (2 * _SIGMA**2))
            total += penalty * _similarity(found, wanted)
        return 10 * total / (_LONGEST * max(1, len(references)))

    def mean(self, captions: Sequence[Sequence[Token]]) -> float:
        """Over one caption an item."""
        return sum(self.score(i, caption) for i, caption in enumerate(captions)) / max(1, len(captions))

    def _vector(self, caption: Sequence[Token]) -> _Vector:
        weights: list[dict[NGram, float]] = [defaultdict(float) for _ in range(_LONGEST)]
        for gram, count in Counter(_grams(caption)).items():
            idf = self._log_items - math.log(max(1, self._documents[gram]))
            weights[len(gram) - 1][gram] = count * idf
        norms = tuple(math.sqrt(sum(value * value for value in part.values())) for part in weights)
        # pycocoevalcap takes the number of bigrams for the length.
        return _Vector(tuple(weights), norms, max(0, len(caption) - 1))


def _grams(caption: Sequence[Token]) -> Iterable[NGram]:
    for n in range(1, _LONGEST + 1):
        for i in range(len(caption) - n + 1):
            yield tuple(caption[i : i + n])


def _similarity(found: _Vector, wanted: _Vector) -> float:
    total = 0.0
    for n in range(_LONGEST):
        product = 0.0
        theirs = wanted.weights[n]
        for gram, value in found.weights[n].items():
            other = theirs.get(gram)
            if other is not None:
                product += min(value, other) * other
        if found.norms[n] and wanted.norms[n]:
            total += product / (found.norms[n] * wanted.norms[n])
    return total
