"""Greedy and beam search over a language small enough to search through."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import pytest

from pipeline.inference.token_search import Found, search

END, VOCABULARY, MOST = 1, 6, 4
NEVER = np.array([0])
PROMPT = (2, 3)


class Language:
    """Log-probabilities by row and last token. A row's number is hidden in its prefix."""

    def __init__(self, rows: int, seed: int, end_bonus: float = 0.0) -> None:
        logits = np.random.default_rng(seed).normal(size=(rows, VOCABULARY, VOCABULARY)) * 2
        logits[:, :, END] += end_bonus
        logits -= np.log(np.exp(logits).sum(axis=2, keepdims=True))
        self.table = logits.astype(np.float32)
        self.rows_seen: list[int] = []

    def step(self, tokens, place, prefix, text):  # type: ignore[no-untyped-def]
        row = prefix[0][:, 0, 0, 0, 0].astype(int)
        assert text[0].shape[:2] == tokens.shape
        assert text[0].shape[4] == place
        self.rows_seen.append(len(row))
        added = np.broadcast_to(tokens[:, :, None, None, None, None], (*tokens.shape, 1, 1, 1, 1)).astype(
            np.float32
        )
        longer = np.concatenate([text[0], added], axis=4)
        np.testing.assert_array_equal(longer[:, :, 0, 0, -1, 0], tokens)
        return self.table[row[:, None], tokens], longer, longer

    def write(self, rows: list[int], beams: int) -> list[Found]:
        prefix = np.array(rows, np.float32).reshape(-1, 1, 1, 1, 1)
        nothing = np.zeros((len(rows), 1, 1, 1, 0, 1), np.float32)
        return search(
            self.step,
            (prefix, prefix),
            (nothing, nothing),
            PROMPT,
            most=MOST,
            beams=beams,
            end=END,
            never=NEVER,
        )

    def score(self, row: int, tokens: list[int]) -> float:
        """Mean log-probability of a text with its end."""
        path = [PROMPT[-1], *tokens, END]
        return float(np.mean([self.table[row, a, b] for a, b in pairwise(path)]))


def test_greedy_takes_the_likeliest_token_each_time() -> None:
    language = Language(1, seed=3)
    (found,) = language.write([0], beams=1)
    expected, token = [], PROMPT[-1]
    while len(expected) < MOST:
        scores = language.table[0, token].copy()
        scores[NEVER] = -np.inf
        token = int(scores.argmax())
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
