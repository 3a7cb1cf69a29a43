"""Finding texts token by token, greedily or with beams, in numpy over a model that reads them.

Rows are items. Each step, the best `beams` continuations of a row are looked at: those that end are finished
texts, and the row goes on with its best `beams` others. It leaves the batch when it has as many finished
texts as beams.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ids = NDArray[np.int64]
Rows = NDArray[np.intp]
# Continuations of each row, best first, (N, M) each: which beam, which token, sum of log-probabilities.
Best = tuple[Rows, Ids, NDArray[np.float64]]


class Reader(Protocol):
    """A model that has read something of N rows, K texts each; at first one text each, of no token."""

    def read(self, tokens: Ids, place: int) -> Floats:
        """Reads one token more of each text, (N, K), at a place.

        Returns:
            Log-probabilities of the next token, (N, K, V), for the search to change.
        """

    def take(self, rows: Rows, sources: Rows) -> None:
        """Goes on with these rows, (M,), ascending, and these texts of each, (M, K); drops the others."""


@dataclass(frozen=True)
class Found:
    """A text: its tokens without the end, mean log-probability of a token (end included), whether cut off."""

    tokens: list[int]
    score: float
    truncated: bool


@dataclass
class _Beams:
    """What is being written: rows of K texts each, and what belongs to them."""

    items: Rows  # (N,): places in the results
    scores: NDArray[np.float64]  # (N, K), sums of log-probabilities
    tokens: Ids  # (N, K, T)
    next: Floats  # (N, K, V), log-probabilities of the next token


def search(
    reader: Reader,
    count: int,
    prompt: Sequence[int] | Ids,
    *,
    most: int,
    beams: int,
    end: int,
    never: Ids,
) -> list[Found]:
    """The best text for each row, by mean log-probability.

    Args:
        reader: Knows what the rows are about.
        count: Its rows.
        prompt: Tokens that texts begin with: (T,), those of every row, or (N, T).
        most: Tokens at most, without prompt and end.
        beams: Texts that are followed at a time; 1 is greedy.
        end: The token that ends a text.
        never: Tokens that are never written.
    """
    begun = np.broadcast_to(np.asarray(prompt, np.int64), (count, np.shape(prompt)[-1]))
    for place, tokens in enumerate(begun.T):
        following = reader.read(tokens[:, None], place)
    now = _Beams(np.arange(count), np.zeros((count, 1)), np.zeros((count, 1, 0), np.int64), following)
    finished: list[list[Found]] = [[] for _ in range(count)]
    for written in range(most + 1):
        now.next[..., never] = -np.inf
        best = _best(now, 2 * beams)
        _note_ends(now, best, beams, end, finished)
        if written == most:
            _cut_off(now, finished)
            break
        goes_on = np.flatnonzero([len(finished[item]) < beams for item in now.items])
        if not len(goes_on):
            break
        _advance(now, reader, begun.shape[1] + written, goes_on, _without(end, beams, best))
    return [max(texts, key=lambda found: found.score) for texts in finished]


def _best(now: _Beams, most: int) -> Best:
    """The best continuations of each row, best first: beam, token, sum of log-probabilities; (N, most).

    Of equal ones the first beam's, then the smallest token's, so that nothing depends on the order of a sort.
    """
    rows, beams, vocabulary = now.next.shape
    total = (now.scores[:, :, None] + now.next).reshape(rows, beams * vocabulary)
    if most > 2:
        most = min(most, beams * vocabulary)
        candidates = np.sort(np.argpartition(-total, most - 1, axis=1)[:, :most], axis=1)
        order = np.argsort(-np.take_along_axis(total, candidates, 1), axis=1, kind="stable")
        chosen = np.take_along_axis(candidates, order, 1)
    else:  # greedy: the best, and the best other one should that be the end
        first = total.argmax(axis=1)[:, None]
        rest = total.copy()
        np.put_along_axis(rest, first, -np.inf, 1)
        chosen = np.concatenate([first, rest.argmax(axis=1)[:, None]], axis=1)
    return chosen // vocabulary, chosen % vocabulary, np.take_along_axis(total, chosen, 1)


def _note_ends(
    now: _Beams,
    best: Best,
    beams: int,
    end: int,
    finished: list[list[Found]],
) -> None:
    """What ends among the best `beams` continuations of a row is a finished text."""
    sources, tokens, scores = best
    tokens = tokens[:, :beams]
    length = now.tokens.shape[2] + 1
    for row, place in zip(*np.nonzero(tokens == end), strict=True):
        if np.isfinite(scores[row, place]):
            text = now.tokens[row, sources[row, place]].tolist()
            finished[now.items[row]].append(Found(text, float(scores[row, place]) / length, truncated=False))


def _cut_off(now: _Beams, finished: list[list[Found]]) -> None:
    """Rows without a finished text give their best one as it is."""
    for row, item in enumerate(now.items):
        if not finished[item]:
            k = int(now.scores[row].argmax())
            text = now.tokens[row, k].tolist()
            finished[item].append(Found(text, float(now.scores[row, k]) / len(text), truncated=True))


def _without(end: int, beams: int, best: Best) -> Best:
    """The best continuations that do not end: at most one of a beam's does, so twice as many are enough.

    Where a vocabulary has fewer, ends take their places, so unlikely that nothing comes of them.
    """
    sources, tokens, scores = best
    scores = np.where(tokens == end, -np.inf, scores)
    order = np.argsort(tokens == end, axis=1, kind="stable")[:, :beams]
    return (
        np.take_along_axis(sources, order, 1),
        np.take_along_axis(tokens, order, 1),
        np.take_along_axis(scores, order, 1),
    )


def _advance(now: _Beams, reader: Reader, place: int, rows: Rows, chosen: Best) -> None:
    """Goes one token further with these rows and drops the others."""
    sources, tokens, scores = chosen[0][rows], chosen[1][rows], chosen[2][rows]
    now.items, now.scores = now.items[rows], scores
    now.tokens = np.concatenate([now.tokens[rows[:, None], sources], tokens[..., None]], axis=2)
    reader.take(rows, sources)
    now.next = reader.read(tokens, place)
