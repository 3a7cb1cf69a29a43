"""A describing model that a test can afford: it tells colours and pitches, by rules.

The operation cannot tell it from another: it says `Red.`, `A low sound.`, has tags, classes, embeddings and
attention. `tests.support.operations` has an operation that runs it in real workers.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from pipeline.core.abilities import Abilities
from pipeline.core.artifact import MANIFEST, ArtifactManifest, Terms, digest_of
from pipeline.core.errors import InternalError
from pipeline.core.keys import artifact_prefix
from pipeline.core.operation import FetchedObject, HandlerContext, ItemInput, ItemOutput, Limits
from pipeline.core.storage import ObjectStore
from pipeline.inference.describe import Describer
from pipeline.inference.describe_engine import Answer, Floats, Pixels, Question
from pipeline.operations.describe import DescribeParams, DescribeReceipt
from tests.support.image_bytes import saved

COLOURS = {"red": "红", "green": "绿", "blue": "蓝"}
BROKEN = (1, 2, 3)  # a picture of this colour breaks the model
ABILITIES = Abilities(
    languages=("en", "zh"),
    presets=("caption", "alt_text", "keywords", "title"),
    inputs=("image", "sound", "image+sound"),
    max_tokens=60,
    max_beams=4,
    tags=True,
    embedding=True,
    attention=True,
)


class ColourEngine:
    """Threads may share it. Counts the questions of each call."""

    name = "colours"

    def __init__(self, abilities: Abilities = ABILITIES) -> None:
        self.abilities = abilities
        self.batches: Counter[int] = Counter()
        self._lock = threading.Lock()

    def prepare(self, pixels: Pixels) -> Pixels:
        return np.asarray(Image.fromarray(pixels).resize((2, 2)))

    def describe(self, questions: Sequence[Question]) -> list[Answer | Exception]:
        with self._lock:
            self.batches[len(questions)] += 1
        for question in questions:
            if question.picture is not None and tuple(question.picture[0, 0]) == BROKEN:
                raise InternalError("the model broke")
        return [_answer(question) for question in questions]

    def embed_texts(self, texts: Sequence[str]) -> Floats:
        rows = [[float(colour in text.lower()) for colour in COLOURS] for text in texts]
        found = np.array(rows, np.float32) + 1e-3
        return found / np.linalg.norm(found, axis=1, keepdims=True)

    def warm_up(self) -> None:
        """Nothing is cold."""


def _answer(question: Question) -> Answer:
    tags: dict[str, float] = {}
    text = heard = None
    embedding = np.array([0, 0, 0.0], np.float32)
    if question.picture is not None:
        shares = question.picture.reshape(-1, 3).mean(axis=0) / 255
        embedding = (shares + 1e-3).astype(np.float32)
        order = np.argsort(-shares, kind="stable")
        names = list(COLOURS.values() if question.language == "zh" else COLOURS)
        tags = {names[i]: round(float(shares[i]), 4) for i in order}
        text = f"{names[order[0]]}。" if question.language == "zh" else f"A {names[order[0]]} picture."
    sounds = {}
    if question.samples is not None:
        crossings = int(np.count_nonzero(np.diff(np.signbit(question.samples))))
        low = crossings / len(question.samples) < 2 * 1000 / 16_000
        heard = f"A {'low' if low else 'high'} sound."
        sounds = {"hum" if low else "whistle": 0.9}
    most = question.max_tokens or 60
    words = (text or heard or "").split()
    maps = tuple((word, np.full((2, 2), 0.25, np.float32)) for word in words)
    return Answer(
        text="" if question.preset == "keywords" else " ".join(words[:most]),
        sound_text=heard if text else None,
        tags=tags,
        tag_threshold=0.3,
        classes={"swatch": 0.5} if tags else {},
        sounds=sounds,
        score=-0.25,
        truncated=len(words) > most,
        embedding=embedding / max(float(np.linalg.norm(embedding)), 1e-9),
        attention=maps if question.attention and text else (),
    )


class ColourDescriber(Describer):
    """The operation's handler with that model in it."""

    def __init__(self, context: HandlerContext, engine: ColourEngine | None = None) -> None:
        super().__init__(context)
        self.colours = engine or ColourEngine()

    def engine(self, model: str) -> ColourEngine:
        return self.colours


def describer(engine: ColourEngine | None = None, **limits: Any) -> ColourDescriber:
    """A handler as a worker has it."""
    return ColourDescriber(HandlerContext("cpu", {}, limits=Limits(**limits)), engine)


def item(
    data: bytes, objects: dict[str, bytes] | None = None, *, sample: bool = False, **params: object
) -> ItemInput:
    """One item, its params as JSON brings them."""
    checked = DescribeParams.model_validate_json(json.dumps(params))
    fetched = {name: FetchedObject.of(body) for name, body in (objects or {}).items()}
    return ItemInput(data, "a", checked, sample=sample, objects=fetched)


def receipt_of(output: ItemOutput | Exception) -> DescribeReceipt:
    assert isinstance(output, ItemOutput), output
    assert isinstance(output.receipt, DescribeReceipt)
    return output.receipt


def swatch(*rgb: int, size: tuple[int, int] = (24, 16), form: str = "PNG") -> bytes:
    """A picture of one colour."""
    return saved(Image.new("RGB", size, rgb), form)


def published(store: ObjectStore, name: str = "colours", licence: str = "MIT", **abilities: Any) -> str:
    """Puts the manifest of an imported model with these abilities into a store; returns its digest."""
    manifest = ArtifactManifest(
        name=name,
        version=1,
        files={},
        config={"engine": "colours", "abilities": ABILITIES.model_copy(update=abilities).model_dump()},
        terms=Terms(licence=licence),
    )
    data = manifest.model_dump_json().encode()
    store.put(artifact_prefix(name, digest_of(data)) + MANIFEST, data)
    return digest_of(data)
