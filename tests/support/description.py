"""A describing model that a test can afford: random weights, a tokenizer and names of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from pipeline.models.checkpoint import save_run
from pipeline.models.description.efficientnet import CLASSES
from pipeline.models.description.model import DescriptionModel
from pipeline.models.description.shape import Shape
from pipeline.models.description.yamnet import CLASSES as SOUND_CLASSES
from pipeline.models.description.yamnet import YamNet
from pipeline.training.captions import train_tokenizer
from pipeline.training.class_names import class_words
from pipeline.training.description_data import Names
from pipeline.training.sounds import SENTENCES

LABELS = [f"thing {i}, also {i}" for i in range(CLASSES - 2)] + ["Great Dog, dog", "sandy beach"]
NAMES = Names(
    ("dog", "beach", "red"), ("狗", "海"), tuple(SENTENCES), tuple(label.split(",")[0] for label in LABELS)
)
SMALL = Shape(
    width=32, layers=3, heads=4, feed_forward=48, vocabulary=400, audio_rank=8, embedding=16, tags=len(NAMES)
)
SENTENCES_TO_LEARN = ("a dog runs on the beach", "two men in red shirts", "一只狗在海边跑", "一个男人")


@lru_cache(maxsize=1)
def tokenizer() -> Tokenizer:
    return train_tokenizer(SENTENCES_TO_LEARN, SMALL.vocabulary)


def untrained(shape: Shape = SMALL) -> DescriptionModel:
    """Weights so large that texts vary: a model that repeats one token would prove nothing."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = DescriptionModel(shape).eval()
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.ndim == 2:
                    parameter.normal_(std=0.35)
        model.name_classes(class_words(tokenizer(), NAMES.imagenet))
        return model


def random_yamnet() -> YamNet:
    with torch.random.fork_rng():
        torch.manual_seed(2)
        return YamNet().eval().requires_grad_(requires_grad=False)


def write_checkpoint(folder: Path) -> Path:
    """A checkpoint as a training leaves it."""
    folder.mkdir(parents=True, exist_ok=True)
    save_run(folder / "checkpoint.pt", untrained(), step=7, cpu_seconds=3600.0)
    tokenizer().save(str(folder / "tokenizer.json"))
    NAMES.save(folder / "names.json")
    return folder / "checkpoint.pt"


@contextmanager
def without_published_sounds() -> Iterator[None]:
    """YAMNet's file is no part of the repository: random weights and made-up names stand for it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("export.description.load_yamnet", lambda _path: random_yamnet())
        patch.setattr(
            "export.description.read_labels", lambda _path: [f"sound {i}" for i in range(SOUND_CLASSES)]
        )
        yield


def picture(seed: int) -> np.ndarray:
    """uint8 (240, 240, 3): coloured squares."""
    cells = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    return cells[np.arange(240) // 60][:, np.arange(240) // 48]


def sound(seed: int, seconds: float) -> np.ndarray:
    """float32 (N,) at 16 kHz: noise that swells."""
    count = int(16_000 * seconds)
    noise = np.random.default_rng(seed).normal(size=count) * np.abs(np.sin(np.arange(count) / 900))
    return (0.3 * noise).clip(-1, 1).astype(np.float32)
