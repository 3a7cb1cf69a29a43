"""What every describing model looks like to the operation: the built-in one, imported ones, a remote one.

picture ─ prepare ─┐
                   ├─ Question ─┐
sound ─────────────┘            ├─ describe, many at once ─> an Answer each
preset, language, prompt ───────┘
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.core.abilities import Abilities, InputKind, Preset

Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Question:
    """One item for a model: a picture, a sound, or both.

    Attributes:
        picture: What the model's own `prepare` gave.
        samples: Mono, 16 kHz, float32 in [-1, 1], (N,), N at least 1.
        preset, language, prompt, max_tokens, beams: As in `DescribeParams`.
        attention: Whether maps are wanted.
    """

    picture: Pixels | None
    samples: Floats | None
    preset: Preset = "caption"
    language: str = "en"
    prompt: str | None = None
    max_tokens: int | None = None
    beams: int = 1
    attention: bool = False

    @property
    def kind(self) -> InputKind:
        if self.picture is None:
            return "sound"
        return "image" if self.samples is None else "image+sound"


@dataclass(frozen=True, eq=False)
class Answer:
    """What a model says of one item.

    Attributes:
        text: The description as people write it; "" where nothing was found to say.
        sound_text: Of the sound, where a picture came with one.
        tags: Words in the language asked for, with scores in [0, 1], all that the model knows, best first.
        tag_threshold: From which score on the model itself holds a tag for right.
        classes, sounds: Names of ImageNet's and AudioSet's classes, best first.
        score: Mean log-probability of a token; None where there is none.
        truncated: Whether max_tokens came before the end.
        embedding: float32 (E,), L2 norm 1.
        attention: A word and its map, float32 (h, w) of sum 1, over the whole picture; in the text's order.
    """

    text: str
    sound_text: str | None = None
    tags: dict[str, float] = field(default_factory=dict)
    tag_threshold: float = 0.0
    classes: dict[str, float] = field(default_factory=dict)
    sounds: dict[str, float] = field(default_factory=dict)
    score: float | None = None
    truncated: bool = False
    embedding: Floats | None = None
    attention: tuple[tuple[str, Floats], ...] = ()


class Engine(Protocol):
    """A describing model. Threads may share it."""

    @property
    def name(self) -> str:
        """What receipts call it: its artifact's digest, or the remote model's name."""

    @property
    def abilities(self) -> Abilities:
        """What it can do; nothing else is asked of it."""

    def prepare(self, pixels: Pixels) -> Pixels:
        """A picture as the model wants it, small: uint8 RGB (H, W, 3) in, uint8 RGB out."""

    def describe(self, questions: Sequence[Question]) -> list[Answer | Exception]:
        """Answers in order. An item's error is its own; what it says does not depend on the others.

        Raises:
            Transient: All of them may be asked again.
        """

    def embed_texts(self, texts: Sequence[str]) -> Floats:
        """Search embeddings, float32 (N, E), L2 norm 1; of models whose abilities have them.

        Raises:
            UnsupportedByModel: It has none.
        """

    def warm_up(self) -> None:
        """Runs every graph once."""
