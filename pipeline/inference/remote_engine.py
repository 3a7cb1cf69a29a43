"""A remote model behind an OpenAI-compatible vision API (`/chat/completions`), as an engine of the operation.

Off unless an operator sets TRIPTYCH_ENDPOINT_URL: pictures leave this installation for that server.
"""

from __future__ import annotations

import base64
import re
import unicodedata
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from pipeline.core.abilities import Abilities, Preset
from pipeline.core.endpoint import Endpoint
from pipeline.core.errors import EndpointRefused, TriptychError, UnsupportedByModel
from pipeline.imaging.encode import encode_image
from pipeline.imaging.resize import resized, size_within
from pipeline.inference.describe_engine import Answer, Floats, Pixels, Question
from pipeline.inference.guarded_http import GuardedClient
from pipeline.operations.describe import ALT_TEXT_CHARACTERS, REMOTE_SIDE_PX, remote_abilities

_LEAST_PX = 28  # what vision models with patches of 14 need; smaller pictures are enlarged
_AT_ONCE = 8
_JPEG_QUALITY = 90
_TOKENS: Mapping[Preset, int] = MappingProxyType(
    {"caption": 80, "alt_text": 60, "detailed": 400, "keywords": 120, "title": 30}
)
_ASKED: Mapping[Preset, str] = MappingProxyType(
    {
        "caption": "Describe this picture in one sentence.",
        "alt_text": f"Write an alt text for this picture, at most {ALT_TEXT_CHARACTERS} characters, without"
        ' "image of".',
        "detailed": "Describe this picture in detail, in one paragraph.",
        "keywords": "List up to 12 keywords for this picture, separated by commas.",
        "title": "Write a short title for this picture, without quotation marks.",
    }
)
_LANGUAGES = MappingProxyType({"en": "English", "zh": "Chinese (simplified)"})
_THOUGHTS = re.compile(r"<think>.*?</think>", re.DOTALL)  # reasoning models begin with them


class RemoteEngine:
    """Asks the endpoint, some questions at a time. Threads may share it.

    Args:
        endpoint: Where it is.
        client: Replaces the connection, for tests.
    """

    def __init__(self, endpoint: Endpoint, client: GuardedClient | None = None) -> None:
        self._endpoint = endpoint
        self._client = client or GuardedClient(endpoint)
        self._abilities = remote_abilities(endpoint)
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="endpoint")

    @property
    def name(self) -> str:
        return f"remote:{self._endpoint.model}"

    @property
    def abilities(self) -> Abilities:
        return self._abilities

    def prepare(self, pixels: Pixels) -> Pixels:
        height, width = pixels.shape[:2]
        size = size_within((width, height), REMOTE_SIDE_PX)
        return resized(pixels, (max(size[0], _LEAST_PX), max(size[1], _LEAST_PX)))

    def describe(self, questions: Sequence[Question]) -> list[Answer | Exception]:
        return list(self._pool.map(self._one, questions))

    def embed_texts(self, texts: Sequence[str]) -> Floats:  # noqa: ARG002 - as the protocol says
        raise UnsupportedByModel("the remote model has no embeddings")

    def warm_up(self) -> None:
        """Nothing is cold, and a worker must start without it."""

    def _one(self, question: Question) -> Answer | Exception:
        try:
            if question.samples is not None:
                raise UnsupportedByModel("the remote model takes pictures, not sounds")
            return _read(self._client.post("/chat/completions", self._body(question)))
        except TriptychError as error:
            return error

    def _body(self, question: Question) -> dict[str, Any]:
        language = _LANGUAGES.get(question.language, question.language)
        words = question.prompt or _ASKED[question.preset]
        parts: list[dict[str, Any]] = [
            {"type": "text", "text": f"{words}\nAnswer in {language}, with the text alone."}
        ]
        if question.picture is not None:
            jpeg = encode_image(question.picture, "jpeg", quality=_JPEG_QUALITY)
            url = f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"
            parts.insert(0, {"type": "image_url", "image_url": {"url": url}})
        return {
            "model": self._endpoint.model,
            "messages": [{"role": "user", "content": parts}],
            "max_tokens": question.max_tokens or _TOKENS[question.preset],
            "temperature": 0,
            "stream": False,
        }


@lru_cache(maxsize=4)
def engine_at(endpoint: Endpoint) -> RemoteEngine:
    """The engine of an endpoint: its connections are kept."""
    return RemoteEngine(endpoint)


def _read(answer: Any) -> Answer:
    try:
        choice = answer["choices"][0]
        text = choice["message"]["content"]
        cut = choice.get("finish_reason") == "length"
    except (KeyError, IndexError, TypeError, AttributeError):
        raise EndpointRefused("the remote model's answer has no text where it should be") from None
    if not isinstance(text, str) or not (plain := _plain(text)):
        raise EndpointRefused("the remote model answered without a text")
    return Answer(plain, truncated=cut)


def _plain(text: str) -> str:
    """A text without thoughts, control characters and quotation marks around it all."""
    text = _THOUGHTS.sub("", text)
    text = "".join(" " if unicodedata.category(one) in ("Cc", "Cs") else one for one in text)
    text = " ".join(text.split())
    return text[1:-1].strip() if len(text) > 1 and text[0] == text[-1] == '"' else text
