"""The built-in describing model as an engine of the operation."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from PIL import Image

from pipeline.core.abilities import Abilities, abilities_of
from pipeline.core.errors import UnsupportedByModel
from pipeline.core.operation import Device, LoadedArtifact
from pipeline.inference.attention_words import words_of
from pipeline.inference.describe_engine import Answer, Floats, Pixels, Question
from pipeline.inference.describe_model import SIDE_PX, DescribeModel, State, Task, Written, squash

_TOKENS = 40  # of a sentence, if nobody says: longer than nearly all that it was trained on
Asked = tuple[Task, str, int, int]  # task, language, tokens, beams: what may be written together


class BuiltInEngine:
    """Runs the artifact `description`. Threads may share it.

    Args:
        artifact: Verified.
        device: "cpu" or "cuda".
        device_index: Which GPU.
    """

    def __init__(self, artifact: LoadedArtifact, device: Device = "cpu", device_index: int = 0) -> None:
        self._model = DescribeModel(artifact, device, device_index)
        self._digest = artifact.digest
        self._abilities = abilities_of(artifact.manifest)
        self._tag_threshold = float(artifact.manifest.config["tag_threshold"])

    @property
    def name(self) -> str:
        return self._digest

    @property
    def abilities(self) -> Abilities:
        return self._abilities

    def prepare(self, pixels: Pixels) -> Pixels:
        return squash(Image.fromarray(pixels))

    def describe(self, questions: Sequence[Question]) -> list[Answer | Exception]:
        found: list[Answer | Exception | None] = [_refusal(question) for question in questions]
        asked = [place for place, refusal in enumerate(found) if refusal is None]
        states = dict(
            zip(
                asked,
                self._model.encode_batch([(questions[i].picture, questions[i].samples) for i in asked]),
                strict=True,
            )
        )
        groups: dict[Asked, list[int]] = defaultdict(list)
        for place in asked:
            if questions[place].preset != "keywords":
                groups[self._asked(questions[place])].append(place)
        written: dict[int, Written] = {}
        for (task, language, tokens, beams), places in groups.items():
            texts = self._model.write([states[i] for i in places], task, language, tokens, beams)
            written |= dict(zip(places, texts, strict=True))
        return [
            self._answer(questions[place], states[place], written.get(place)) if one is None else one
            for place, one in enumerate(found)
        ]

    def embed_texts(self, texts: Sequence[str]) -> Floats:
        return self._model.embed_texts(texts)

    def warm_up(self) -> None:
        picture = np.full((SIDE_PX, SIDE_PX, 3), 128, np.uint8)
        noise = np.random.default_rng(0).standard_normal(16_000, np.float32) / np.float32(10)
        self.describe(
            [Question(picture, None), Question(None, noise), Question(picture, noise, attention=True)]
        )
        self.embed_texts(["a"])

    def _asked(self, question: Question) -> Asked:
        task: Task = "caption"
        if question.kind == "sound":
            task = "label" if question.preset == "title" else "sound"
        default = min(_TOKENS, self._model.most_tokens)
        return task, question.language, question.max_tokens or default, question.beams

    def _answer(self, question: Question, state: State, written: Written | None) -> Answer:
        tags = state.tags_zh if question.language == "zh" else state.tags
        attention: tuple[tuple[str, Floats], ...] = ()
        if question.attention and written is not None and question.picture is not None:
            maps = self._model.attention(state, written)
            attention = words_of(written.text, self._model.token_texts(written), maps, question.language)
        return Answer(
            text="" if written is None else written.text,
            sound_text=None if written is None else written.sound_text,
            tags=tags,
            tag_threshold=self._tag_threshold,
            classes=state.classes,
            sounds=state.sounds,
            score=None if written is None else written.score,
            truncated=written is not None and written.truncated,
            embedding=state.embedding,
            attention=attention,
        )


def _refusal(question: Question) -> UnsupportedByModel | None:
    """What this model cannot do with an input of this kind; the rest is refused at submission."""
    if question.kind == "sound" and question.attention:
        return UnsupportedByModel("attention is shown on a picture; this input is a sound")
    return None
