"""Greedy and beam search over a language small enough to search through."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from pipeline.inference.token_search import Found, search

END, VOCABULARY, MOST = 1, 6, 4
NEVER = np.array([0])
PROMPT = (2, 3)


class Language:
    """Log-probabilities by row and the last two tokens."""

    def __init__(self, rows: int, seed: int, end_bonus: float = 0.0) -> None:
        logits = np.random.default_rng(seed).normal(size=(rows, *[VOCABULARY] * 3)) * 2
        logits[..., END] += end_bonus
        logits -= np.log(np.exp(logits).sum(axis=-1, keepdims=True))
        self.table = logits.astype(np.float32)
        self.rows_seen: list[int] = []

    def write(self, rows: list[int], beams: int) -> list[Found]:
        return search(Reading(self, rows), len(rows), PROMPT, most=MOST, beams=beams, end=END, never=NEVER)

    def score(self, row: int, tokens: list[int]) -> float:
        """Mean log-probability of a text with its end."""
        path = [*PROMPT, *tokens, END]
        return float(
            np.mean([self.table[row, *three] for three in zip(path, path[1:], path[2:], strict=False)])
        )


class Reading:
    """Remembers its texts for itself, as a model's keys and values do."""

    def __init__(self, language: Language, rows: list[int]) -> None:
        self.language, self.rows = language, np.array(rows)
        self.texts = np.zeros((len(rows), 1, 0), np.int64)

    def read(self, tokens: np.ndarray, place: int) -> np.ndarray:
        assert self.texts.shape == (*tokens.shape, place)
        self.language.rows_seen.append(len(tokens))
        self.texts = np.concatenate([self.texts, tokens[..., None]], axis=2)
        before = self.texts[..., -2:][..., 0]
        return self.language.table[self.rows[:, None], before, tokens]

    def take(self, rows: np.ndarray, sources: np.ndarray) -> None:
        self.rows, self.texts = self.rows[rows], self.texts[rows[:, None], sources]


def test_greedy_takes_the_likeliest_token_each_time() -> None:
    language = Language(1, seed=3)
    (found,) = language.write([0], beams=1)
    expected, (before, token) = [], PROMPT
    while len(expected) < MOST:
        scores = language.table[0, before, token].copy()
        scores[NEVER] = -np.inf
        before, token = token, int(scores.argmax())
        if token == END:
            break
        expected.append(token)
    assert found.tokens == expected
    assert found.truncated == (len(expected) == MOST and token != END)


@pytest.mark.parametrize("seed", range(6))
def test_wide_beams_find_no_worse_texts_than_all_of_one_length_or_less(seed: int) -> None:
    """With as many beams as there are texts of the greatest length, nothing is lost."""
    language = Language(1, seed)
    letters = [token for token in range(VOCABULARY) if token not in {END, *NEVER}]
    every = [[*text] for length in range(MOST + 1) for text in product(letters, repeat=length)]
    best = max(every, key=lambda text: language.score(0, text))
    (found,) = language.write([0], beams=len(letters) ** MOST)
    assert found.tokens == best
    assert found.score == pytest.approx(language.score(0, best), abs=1e-5)


@pytest.mark.parametrize("beams", [1, 3])
def test_rows_do_not_depend_on_their_neighbours(beams: int) -> None:
    """Rows that end at different steps, together and alone; finished rows leave the batch."""
    language = Language(12, seed=5, end_bonus=1.0)
    together = language.write(list(range(12)), beams)
    seen, language.rows_seen = language.rows_seen, []
    assert together == [language.write([row], beams)[0] for row in range(12)]
    assert len({len(found.tokens) for found in together}) > 1
    assert seen[0] == 12
    assert seen[-1] < 12


def test_a_text_that_never_ends_is_cut_off() -> None:
    (found,) = Language(1, seed=1, end_bonus=-50.0).write([0], beams=2)
    assert found.truncated
    assert len(found.tokens) == MOST
