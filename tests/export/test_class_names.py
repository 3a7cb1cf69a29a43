"""Names of classes: which words of a caption stand for them, and what they are as tokens."""

from __future__ import annotations

import numpy as np
import torch

from pipeline.models.description.model import IMAGE_TOKENS, LOOK_TOKENS, NAME_TOKENS, SAID_CLASSES
from pipeline.models.description.shape import PAD
from pipeline.training.class_names import ClassesInTexts, class_words, guessed, with_article
from tests.support.description import LABELS, SMALL, tokenizer, untrained

FOUND = ClassesInTexts(["tabby, tabby cat", "Egyptian cat", "espresso", "laptop, laptop computer"])


def test_words_stand_for_classes() -> None:
    """By the last word of any name, in singular or plural, whole words only."""
    assert FOUND.find("two cats on a laptop") == [[0, 1], [3]]
    assert FOUND.find("a catalogue of computers, an egyptian") == [[3]]
    assert FOUND.find("nothing at all") == []


def test_texts_without_a_class_teach_nothing() -> None:
    told = FOUND.told(["a tabby", "a man", "cats"], [[1], [2], [3]])
    assert [(text.ids, text.classes) for text in told] == [([1], [[0]]), ([3], [[0, 1]])]


def test_guesses_are_what_an_encoder_might_have_said() -> None:
    """The caption's classes come with higher scores than others, the likeliest first; others fill up."""
    told = FOUND.told(["cats on a laptop", "a tabby"] * 50, [[1], [2]] * 50)
    classes, scores = guessed(told, np.random.default_rng(0))
    assert classes.shape == scores.shape == (100, SAID_CLASSES)
    assert bool((scores[:, :-1] >= scores[:, 1:]).all())
    assert {int(row[0]) for row in classes[1::2]} == {0}
    assert {tuple(sorted(row[:2].tolist())) for row in classes[::2]} == {(0, 3), (1, 3)}
    assert bool((scores.sum(dim=1) <= 1.6).all())


def test_pictures_say_their_likeliest_classes() -> None:
    """The last tokens of a picture depend on which classes are likeliest and on what those are called."""
    model = untrained()
    cells = torch.rand(1, 64, 1280)
    probabilities = torch.full((1, len(LABELS)), 1e-4)
    probabilities[0, [7, 998]] = torch.tensor([0.2, 0.5])
    with torch.no_grad():
        tokens = model.look(cells, probabilities)
        assert tokens.shape == (1, IMAGE_TOKENS, SMALL.width)
        said = model.say(torch.tensor([[998, 7]]), torch.tensor([[0.5, 0.2]]))
        torch.testing.assert_close(tokens[:, LOOK_TOKENS:], said)
        other = probabilities.clone()
        other[0, 999], other[0, 7] = 0.2, 1e-4
        changed = (model.look(cells, other) != tokens).any(dim=2)[0]
    first_changed = LOOK_TOKENS + NAME_TOKENS
    assert changed.nonzero().flatten().tolist()[0] == first_changed
    assert not bool(changed[:first_changed].any())


def test_names_are_tokens_of_the_vocabulary() -> None:
    """Small letters, cut where they are long, padded where they are short."""
    words = class_words(tokenizer(), ["A dog", "SANDY beaches on the beach"])
    assert words.shape == (2, NAME_TOKENS)
    short, long = (tokenizer().encode(text).ids for text in ("a dog", "sandy beaches on the beach"))
    assert words[0].tolist() == [*short, *[PAD] * (NAME_TOKENS - len(short))]
    assert len(long) > NAME_TOKENS
    assert words[1].tolist() == long[:NAME_TOKENS]


def test_classes_are_found_by_any_name() -> None:
    names = ("n02123045_tabby_cat.jpg", "Egyptian_cat.png", "n03642806_laptop.JPEG", "n1_cat.jpg", "1234.jpg")
    assert [FOUND.number_in(name) for name in names] == [0, 1, 3, None, None]


def test_names_are_captions() -> None:
    assert [with_article(name) for name in ("Egyptian cat", "tench")] == ["an egyptian cat", "a tench"]
