"""CIDEr-D against numbers that pycocoevalcap 1.2 gave for the same sentences."""

from __future__ import annotations

import pytest

from pipeline.metrics.cider import Cider

REFERENCES = [
    [["a", "dog", "runs", "on", "the", "beach"], ["a", "brown", "dog", "is", "running"]],
    [["two", "men", "play", "a", "game"], ["men", "in", "red", "play", "football"]],
    [["a", "child", "sits", "on", "a", "swing"], ["the", "child", "swings"]],
]


def test_scores_are_pycocoevalcaps() -> None:
    cider = Cider(REFERENCES)
    captions = [
        text.split() for text in ["a dog runs on the beach", "men play a game of football", "a child"]
    ]
    found = [cider.score(i, caption) for i, caption in enumerate(captions)]
    assert found == pytest.approx([5.340732259024913, 3.6085803444865676, 1.8562628657819378], abs=1e-9)
    assert cider.mean(captions) == pytest.approx(3.6018584897644725, abs=1e-9)


def test_another_items_caption_and_an_empty_one_get_nothing() -> None:
    """Words that every item has weigh nothing."""
    cider = Cider(REFERENCES)
    assert cider.score(1, ["a", "child", "sits"]) == pytest.approx(0, abs=0.05)
    assert cider.score(0, []) == 0
