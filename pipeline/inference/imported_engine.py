"""An imported describing model as an engine of the operation `describe`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from pipeline.core.abilities import abilities_of
from pipeline.core.errors import UnsupportedByModel
from pipeline.core.operation import Device, LoadedArtifact
from pipeline.inference.describe_engine import Answer, Floats, Pixels, Question
from pipeline.inference.imported_model import ImportedModel
from pipeline.inference.token_search import Found

_OWN = "prompt"  # the key of what a user's own prompt gets, beside the presets'
Asked = tuple[str, str, int, int]  # kind of text, prompt, tokens, beams: what may be written together


class ImportedEngine:
    """Runs an artifact that `triptych models import` has made. Threads may share it.

    Args:
        artifact: Verified.
        device: "cpu" or "cuda".
        device_index: Which GPU.
    """

    def __init__(self, artifact: LoadedArtifact, device: Device = "cpu", device_index: int = 0) -> None:
        self.abilities = abilities_of(artifact.manifest)
        self.name = artifact.digest
        self._model = ImportedModel(artifact, device, device_index)

    def prepare(self, pixels: Pixels) -> Pixels:
        return self._model.prepare(pixels)

    def describe(self, questions: Sequence[Question]) -> list[Answer | Exception]:
        answers: dict[int, Answer | Exception] = {}
        groups: dict[Asked, list[tuple[int, Pixels]]] = defaultdict(list)
        for place, question in enumerate(questions):
            if question.picture is None or question.kind not in self.abilities.inputs:
                answers[place] = UnsupportedByModel(f"this model takes pictures, and no {question.kind}")
            else:
                groups[self._asked(question)].append((place, question.picture))
        for (kind, prompt, tokens, beams), members in groups.items():
            found = self._model.write([picture for _, picture in members], prompt, tokens, beams)
            for (place, _), one in zip(members, found, strict=True):
                answers[place] = one if isinstance(one, Exception) else self._answer(one, kind, prompt)
        return [answers[place] for place in range(len(questions))]

    def embed_texts(self, texts: Sequence[str]) -> Floats:
        raise UnsupportedByModel(f"this model has no embeddings, for {len(texts)} texts or any")

    def warm_up(self) -> None:
        grey = self.prepare(np.full((64, 96, 3), 128, np.uint8))
        (answer,) = self.describe([Question(grey, None, max_tokens=2)])
        if isinstance(answer, Exception):
            raise answer

    def _asked(self, question: Question) -> Asked:
        config = self._model.config
        kind = question.preset if question.prompt is None else _OWN
        prompt = config.prompts[question.preset] if question.prompt is None else question.prompt
        return kind, prompt, question.max_tokens or config.tokens[kind], question.beams

    def _answer(self, found: Found, kind: str, prompt: str) -> Answer:
        text = self._model.text(found.tokens, prompt)
        if kind not in (_OWN, "keywords"):
            text = _as_sentence(text, truncated=found.truncated)
        return Answer(text=text, score=found.score, truncated=found.truncated)


def _as_sentence(text: str, *, truncated: bool) -> str:
    """BLIP writes neither capitals nor full stops."""
    stop = "." if text[-1:].isalnum() and not truncated else ""
    return text[:1].upper() + text[1:] + stop
