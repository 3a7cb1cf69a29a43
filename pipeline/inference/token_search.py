"""Finding texts token by token, greedily or with beams, in numpy over a step function.

Rows are items. Each step, the best `beams` continuations of a row are looked at: those that end are finished
texts, and the row goes on with its best `beams` others. It leaves the batch when it has as many finished
texts as beams.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ids = NDArray[np.int64]
Pair = tuple[Floats, Floats]
# (tokens (N, K), place, prefix, text caches) to log-probabilities (N, K, V) and longer text caches.
Step = Callable[[Ids, int, Pair, Pair], tuple[Floats, Floats, Floats]]
# Continuations of each row, best first, (N, M) each: which beam, which token, sum of log-probabilities.
Best = tuple[NDArray[np.intp], Ids, NDArray[np.float64]]


@dataclass(frozen=True)
class Found:
    """A text: its tokens without the end, mean log-probability of a token (end included), whether cut off."""

    tokens: list[int]
    score: float
    truncated: bool


@dataclass
class _Beams:
    """What is being written: rows of K texts each, and what belongs to them."""

    items: NDArray[np.intp]  # (N,): places in the results
    prefix: Pair
    text: Pair
    scores: NDArray[np.float64]  # (N, K), sums of log-probabilities
    tokens: Ids  # (N, K, T)
    next: Floats  # (N, K, V), log-probabilities of the next token

    def keep(self, rows: NDArray[np.bool_]) -> None:
        """Drops the other rows."""
        self.items, self.scores = self.items[rows], self.scores[rows]
        self.tokens, self.next = self.tokens[rows], self.next[rows]
        self.prefix = (self.prefix[0][rows], self.prefix[1][rows])
        self.text = (self.text[0][rows], self.text[1][rows])


def search(
    step: Step,
    prefix: Pair,
    text: Pair,
    prompt: Sequence[int],
    *,
    most: int,
    beams: int,
    end: int,
    never: Ids,
) -> list[Found]:
    """The best text for each row of a prefix, by mean log-probability.

    Args:
        step: One token further.
        prefix: Keys and values, rows first.
        text: Empty text caches, (N, 1, layers, heads, 0, d) each.
        prompt: Tokens that every text begins with.
        most: Tokens at most, without prompt and end.
        beams: Texts that are followed at a time; 1 is greedy.
        end: The token that ends a text.
        never: Tokens that are never written.
    """
    count = len(prefix[0])
    for place, token in enumerate(prompt):
        following, *longer = step(np.full((count, 1), token, np.int64), place, prefix, text)
        text = (longer[0], longer[1])
    now = _Beams(
        np.arange(count), prefix, text, np.zeros((count, 1)), np.zeros((count, 1, 0), np.int64), following
    )
    finished: list[list[Found]] = [[] for _ in range(count)]
    for written in range(most + 1):
        now.next[..., never] = -np.inf
        best = _best(now, 2 * beams)
        _note_ends(now, best, beams, end, finished)
        if written == most:
            _cut_off(now, finished)
            break
        goes_on = np.array([len(finished[item]) < beams for item in now.items])
        if not goes_on.any():
            break
        sources, tokens, scores = _without(end, beams, best)
        if not goes_on.all():
            now.keep(goes_on)
        _advance(now, step, len(prompt) + written, (sources[goes_on], tokens[goes_on], scores[goes_on]))
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


def _advance(now: _Beams, step: Step, place: int, chosen: Best) -> None:
    """Goes one token further."""
    sources, tokens, scores = chosen
    own = np.arange(len(now.items))[:, None]
    now.tokens = np.concatenate([now.tokens[own, sources], tokens[..., None]], axis=2)
    if sources.shape[1] > 1:
        now.text = (now.text[0][own, sources], now.text[1][own, sources])
    now.next, *longer = step(tokens, place, now.prefix, now.text)
    now.text, now.scores = (longer[0], longer[1]), scores
