"""Generation rules in numpy against the library's own logits processors."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import (
    MinNewTokensLengthLogitsProcessor,
    NoRepeatNGramLogitsProcessor,
    RepetitionPenaltyLogitsProcessor,
    SuppressTokensLogitsProcessor,
)

from pipeline.inference.imported_config import WritingConfig
from pipeline.inference.token_rules import log_probabilities

RNG = np.random.default_rng(3)


def ours(logits: np.ndarray, history: np.ndarray, rules: WritingConfig, written: int = 5) -> np.ndarray:
    """Without the normaliser, which the library subtracts elsewhere."""
    plain = log_probabilities(logits, history, written, WritingConfig(ends=(0,)))
    found: np.ndarray = log_probabilities(logits, history, written, rules) - plain + logits
    return found


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("penalty", [1.0, 1.3])
def test_repeats(size: int, penalty: float) -> None:
    logits = RNG.normal(size=(4, 6)).astype(np.float32)
    history = RNG.integers(0, 6, (4, 100))
    ids, scores = torch.from_numpy(history), torch.from_numpy(logits.copy())
    if penalty != 1.0:
        scores = RepetitionPenaltyLogitsProcessor(penalty)(ids, scores)
    wanted = NoRepeatNGramLogitsProcessor(size)(ids, scores).numpy()
    found = ours(logits, history, WritingConfig(ends=(0,), no_repeat_ngram=size, repetition_penalty=penalty))
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    assert np.isinf(wanted).any()


@pytest.mark.parametrize("written", [2, 3])
def test_least_tokens_and_never(written: int) -> None:
    logits = RNG.normal(size=(2, 6)).astype(np.float32)
    history = RNG.integers(0, 6, (2, 4 + written))
    ids, scores = torch.from_numpy(history), torch.from_numpy(logits.copy())
    scores = MinNewTokensLengthLogitsProcessor(4, 3, 0, device="cpu")(ids, scores)
    wanted = SuppressTokensLogitsProcessor([2, 4], device="cpu")(ids, scores).numpy()
    found = ours(logits, history, WritingConfig(ends=(0,), least_tokens=3, never=(2, 4)), written)
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    assert np.isinf(found[:, 0]).all() == (written == 2)


def test_scores_are_log_probabilities() -> None:
    """Of large logits, too; of two ends, the better one counts."""
    logits = (RNG.normal(size=(3, 7)) * 400).astype(np.float32)
    history = np.zeros((3, 1), np.int64)
    wanted = torch.log_softmax(torch.from_numpy(logits), dim=1).numpy()
    found = log_probabilities(logits, history, 0, WritingConfig(ends=(5,)))
    np.testing.assert_allclose(found, wanted, atol=1e-3)
    found = log_probabilities(logits, history, 0, WritingConfig(ends=(5, 1)))
    np.testing.assert_allclose(found[:, 5], wanted[:, [1, 5]].max(axis=1), atol=1e-3)
    assert np.isneginf(found[:, 1]).all()
