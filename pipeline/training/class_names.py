"""Names of the image encoder's classes: as tokens, and as the words of captions that they stand for."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from pipeline.models.description.efficientnet import EfficientNetLite1
from pipeline.models.description.model import NAME_TOKENS, SAID_CLASSES, DescriptionModel
from pipeline.models.description.shape import PAD
from pipeline.training.captions import STOP_WORDS

_WORD = re.compile(r"[a-z]{3,}")
_WORDNET = re.compile(r"^n\d{8}_")
_MOST_TOLD = 60_000  # texts of those that have a class in them


def class_words(tokenizer: Tokenizer, names: Sequence[str]) -> Tensor:
    """Tokens of each name, cut or padded, int32 (names, 6): see `DescriptionModel.name_classes`."""
    found = torch.full((len(names), NAME_TOKENS), PAD, dtype=torch.int32)
    for row, encoding in zip(found, tokenizer.encode_batch([n.lower() for n in names]), strict=True):
        ids = encoding.ids[:NAME_TOKENS]
        row[: len(ids)] = torch.tensor(ids)
    return found


@dataclass(frozen=True)
class Told:
    """A text without a picture, and for each of its words that names classes, which ones."""

    ids: list[int]
    classes: list[list[int]]


class ClassesInTexts:
    """Finds the classes that the words of a caption may stand for.

    Args:
        labels: Names of each class, with all synonyms, separated by commas.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        self._by_word: dict[str, list[int]] = defaultdict(list)
        self._by_name: dict[str, int] = {}
        for number, label in enumerate(labels):
            names = [*filter(None, (_WORD.findall(name.lower()) for name in label.split(",")))]
            for word in {name[-1] for name in names} - STOP_WORDS:
                self._by_word[word].append(number)
            for name in label.split(","):
                self._by_name.setdefault(_plain(name), number)

    def number_in(self, file_name: str) -> int | None:
        """Which class the name of one of ImageNet's files says (n02123159_tiger_cat.jpg), if it says any."""
        return self._by_name.get(_plain(_WORDNET.sub("", PurePath(file_name).stem)))

    def find(self, text: str) -> list[list[int]]:
        """Of each word, singular or plural, that the last word of a class's name is: the classes."""
        words = dict.fromkeys(_WORD.findall(text))
        found = (self._by_word.get(word) or self._by_word.get(word.removesuffix("s")) for word in words)
        return [classes for classes in found if classes]

    def told(self, texts: Sequence[str], ids: Sequence[list[int]]) -> list[Told]:
        """Those texts that have a class in them, a part of them if they are many, spread evenly."""
        pairs = ((own, self.find(text)) for text, own in zip(texts, ids, strict=True))
        found = [Told(own, classes) for own, classes in pairs if classes]
        return found[:: max(1, len(found) // _MOST_TOLD)]


def _plain(name: str) -> str:
    return "".join(filter(str.isalnum, name.lower()))


def guessed(told: Sequence[Told], random: np.random.Generator) -> tuple[Tensor, Tensor]:
    """What an encoder might have said of the pictures that texts are about.

    Its classes are never quite the caption's: each word stands for one of its classes, drawn by chance, less
    likely ones for any. (B, 2) classes, the likeliest first, and scores.
    """
    classes, scores = [], []
    for text in told:
        order = random.permutation(len(text.classes))[:SAID_CLASSES]
        own = [int(random.choice(text.classes[i])) for i in order]
        likely = [*random.uniform(0.1, 0.5, 1), *random.uniform(0.05, 0.3, SAID_CLASSES)][: len(own)]
        own += random.integers(1000, size=SAID_CLASSES - len(own)).tolist()
        likely += random.uniform(0, 0.05, SAID_CLASSES - len(likely)).tolist()
        best = np.argsort(-np.array(likely))
        classes.append([own[i] for i in best])
        scores.append([likely[i] for i in best])
    return torch.tensor(classes), torch.tensor(scores, dtype=torch.float32)


def sure_of(random: np.random.Generator, count: int) -> tuple[Tensor, Tensor]:
    """Any classes, the first with a score that leaves no doubt: (count, 2) classes, and scores."""
    scores = np.stack([random.uniform(0.6, 1, count), random.uniform(0, 0.2, count)], axis=1)
    classes = random.integers(1000, size=(count, SAID_CLASSES))
    return torch.from_numpy(classes), torch.from_numpy(scores).float()


@torch.no_grad()
def cells_and_classes(encoder: EfficientNetLite1, features: Tensor) -> tuple[Tensor, Tensor]:
    """What the frozen encoder makes of cached features (B, 320, 8, 8): cells, probabilities of classes."""
    cells = encoder.widen(features)
    return cells, encoder.classify(cells).softmax(dim=1)


def with_article(name: str) -> str:
    """A class's name as a caption."""
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name.lower()}"


def name_classes(model: DescriptionModel, tables: Path) -> None:
    """Tells a model what its image encoder's classes are called, as the tables beside its checkpoint say."""
    names = json.loads((tables / "names.json").read_text(encoding="utf-8"))["imagenet"]
    model.name_classes(class_words(Tokenizer.from_file(str(tables / "tokenizer.json")), names))
