"""Rules of a generation config that change which token comes next, over numpy logits.

They are what `transformers` calls logits processors, in its order: repetition penalty, no repeated n-grams,
least length, tokens that are never written.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.inference.imported_config import WritingConfig

Floats = NDArray[np.float32]
Ids = NDArray[np.int64]


def log_probabilities(logits: Floats, history: Ids, written: int, rules: WritingConfig) -> Floats:
    """Scores of the next token. What may not come has -inf; the other scores are not renormalised.

    Of several tokens that end a text, the best one's score stands at the first of `rules.ends`.

    Args:
        logits: (R, V).
        history: Every token before, the prompt's too, (R, T).
        written: How many of them are the text's own.
        rules: The model's.
    """
    largest = logits.max(axis=1, keepdims=True)
    total = largest + np.log(np.exp(logits - largest).sum(axis=1, keepdims=True))
    scores = logits.astype(np.float32, copy=True)
    if rules.repetition_penalty != 1.0:
        _penalise(scores, history, np.float32(rules.repetition_penalty))
    for row, banned in enumerate(_repeats(history, rules.no_repeat_ngram)):
        scores[row, banned] = -np.inf
    ends = list(rules.ends)
    if written < rules.least_tokens:
        scores[:, ends] = -np.inf
    scores[:, list(rules.never)] = -np.inf
    if len(ends) > 1:
        best = scores[:, ends].max(axis=1)
        scores[:, ends] = -np.inf
        scores[:, ends[0]] = best
    found: Floats = (scores - total).astype(np.float32)
    return found


def _penalise(scores: Floats, history: Ids, penalty: np.float32) -> None:
    """Keskar et al., 2019 (arXiv 1909.05858), each token once."""
    rows = np.arange(len(scores))[:, None]
    seen = scores[rows, history]
    scores[rows, history] = np.where(seen < 0, seen * penalty, seen / penalty)


def _repeats(history: Ids, size: int) -> list[list[int]]:
    """For each row, the tokens that would end a run of `size` tokens that was there before."""
    if size < 1 or history.shape[1] < size:
        return []
    return [_continuations(row.tolist(), size) for row in history]


def _continuations(tokens: list[int], size: int) -> list[int]:
    last = tokens[len(tokens) - size + 1 :]
    return [tokens[i + size - 1] for i in range(len(tokens) - size + 1) if tokens[i : i + size - 1] == last]
