"""The built-in describing model under ONNX Runtime: pictures and sounds in, words, tags, embeddings out.

    encode     once an item: picture and sound to a State (keys and values of the prefix, tags, embedding)
    write      States to texts, greedily or with beams
    embed_texts, attention

Of a picture with a sound, the caption is written from the picture's own prefix, so no sound can change it;
then the sound's sentence, as the text goes on, from the prefix in which the two have seen each other.

Rows of one prefix length are written together; which rows those are never changes what a row says, but for
rounding in the last bit.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tokenizers import Tokenizer

from pipeline.core.operation import Device, LoadedArtifact
from pipeline.inference.kv_cache import CACHES, StepGraph
from pipeline.inference.log_mel import log_mel_patches
from pipeline.inference.session import Feeds, OrtSession
from pipeline.inference.stored_weights import read_weights, wanted
from pipeline.inference.token_search import Found, search

Floats = NDArray[np.float32]
Ids = NDArray[np.int64]
Pixels = NDArray[np.uint8]
Task = Literal["caption", "sound", "label"]

NAME = "description"
LAYOUT = 2  # of artifacts that this reads
SIDE_PX = 240
GRAPHS = ("image", "audio", "prefix", "step", "text", "attention")
_SHOWN_CLASSES = 5
_ROWS = 64  # texts that are written together


@dataclass(frozen=True)
class Prefix:
    """Keys and values of what texts are about, (layers, heads, P, width / heads) each."""

    keys: Floats
    values: Floats

    @property
    def length(self) -> int:
        """Tokens, P."""
        return int(self.keys.shape[2])


@dataclass(frozen=True)
class State:
    """What the model understands of one item.

    Attributes:
        whole: The prefix of all that there is.
        picture: The prefix of the picture alone, if there is one.
        embedding: For search, (E,), L2 norm 1.
        tags: English words with scores in [0, 1], the best first (of a picture).
        tags_zh: Chinese words, likewise.
        classes: The best ImageNet classes with scores (of a picture).
        sounds: The best AudioSet classes with mean scores (of a sound).
        has_audio: Whether there is a sound.
    """

    whole: Prefix
    picture: Prefix | None
    embedding: Floats
    tags: dict[str, float]
    tags_zh: dict[str, float]
    classes: dict[str, float]
    sounds: dict[str, float]
    has_audio: bool


@dataclass(frozen=True)
class Written:
    """A text.

    Attributes:
        text: As people write it, with a capital and a full stop (captions and sentences).
        sound_text: The sound's sentence, where a caption was asked for of picture and sound.
        tokens: Ids, without prompt and end; between a caption and a sound's sentence stands `<and>`.
        score: Mean log-probability of a token of the text, the end included; at most 0.
        truncated: Whether the most tokens came before the end, of the text or of the sound's sentence.
        prompt: Task and language, as ids.
    """

    text: str
    sound_text: str | None
    tokens: tuple[int, ...]
    score: float
    truncated: bool
    prompt: tuple[int, int]


class DescribeModel:
    """A loaded artifact. Threads may share it.

    Args:
        artifact: Verified.
        device: "cpu" or "cuda".
        device_index: Which GPU.

    Raises:
        ArtifactCorrupt: A file is not what the manifest says.
    """

    tasks: tuple[Task, ...] = ("caption", "sound", "label")

    def __init__(self, artifact: LoadedArtifact, device: Device = "cpu", device_index: int = 0) -> None:
        artifact.require_layout(LAYOUT)
        manifest, directory = artifact.manifest, artifact.directory
        weights = read_weights(directory / manifest.files["weights"].name)
        self._sessions = {
            role: OrtSession(
                directory / manifest.files[role].name,
                device,
                device_index,
                wanted(weights, manifest.graphs[role]["weights"]),
            )
            for role in GRAPHS
        }
        self._device: Device = device
        self.directory = directory
        config = manifest.config
        self._special: dict[str, int] = config["special_tokens"]
        self._attention_layers: list[int] = config["attention_layers"]
        self._look_tokens: int = config["look_tokens"]
        self._text_cache = (config["layers"], config["heads"], config["width"] // config["heads"])
        self.languages: tuple[str, ...] = tuple(config["languages"])
        self.most_tokens: int = config["most_tokens"]
        self._places: int = config["positions"]
        self.tokenizer = Tokenizer.from_file(str(directory / manifest.files["tokenizer"].name))
        names = json.loads((directory / manifest.files["names"].name).read_text(encoding="utf-8"))
        self.names: dict[str, list[str]] = names

    def encode(self, image: Pixels | None, samples: Floats | None) -> State:
        """Everything about an item that does not depend on what is asked.

        Args:
            image: sRGB, (240, 240, 3); see `squash`.
            samples: Mono, 16 kHz, in [-1, 1], (N,), N at least 1.

        Raises:
            ValueError: Neither is there, or one has another shape.
        """
        if image is None and samples is None:
            raise ValueError("an item needs a picture or a sound")
        tokens, classes, sounds = [], {}, {}
        if image is not None:
            if image.shape != (SIDE_PX, SIDE_PX, 3) or image.dtype != np.uint8:
                raise ValueError(
                    f"a picture is uint8 ({SIDE_PX}, {SIDE_PX}, 3), not {image.dtype} {image.shape}"
                )
            image_tokens, scores = self._sessions["image"].run({"pixels": image[None]})
            tokens.append(image_tokens)
            classes = _best(self.names["imagenet"], scores[0], _SHOWN_CLASSES)
        if samples is not None:
            audio_tokens, scores = self._hear(samples)
            tokens.append(audio_tokens)
            sounds = _best(self.names["audioset"], scores, _SHOWN_CLASSES)
        whole, embedding, tags = self._read(np.concatenate(tokens, axis=1))
        seen, heard = image is not None, samples is not None
        english, chinese = len(self.names["english"]), len(self.names["chinese"])
        return State(
            whole,
            None if not seen else self._read(tokens[0])[0] if heard else whole,
            embedding[0],
            _best(self.names["english"], tags[0, :english]) if seen else {},
            _best(self.names["chinese"], tags[0, english : english + chinese]) if seen else {},
            classes,
            sounds,
            heard,
        )

    def sound_scores(self, samples: Floats) -> Floats:
        """Mean scores of AudioSet's classes over a sound, (521,), as `names["audioset"]` names them."""
        return self._hear(samples)[1]

    def encode_batch(self, items: Iterable[tuple[Pixels | None, Floats | None]]) -> list[State]:
        """`encode` of each; one at a time, as batches gain an encoder nothing on a CPU."""
        return [self.encode(image, samples) for image, samples in items]

    def write(
        self,
        states: Sequence[State],
        task: Task = "caption",
        language: str = "en",
        max_tokens: int = 24,
        beams: int = 1,
    ) -> list[Written]:
        """A text for each item.

        Args:
            states: Of any lengths.
            task: "caption" (wants a picture; with a sound too, its sentence follows), "sound" (a sentence
                about it), "label" (its class).
            language: "en" or "zh".
            max_tokens: Of each sentence, at most `most_tokens`.
            beams: 1 is greedy.

        Raises:
            ValueError: Something is asked for that this model or an item does not have.
        """
        self._check(states, task, language, max_tokens, beams)
        prompt = (self._special[f"<{task}>"], self._special[f"<{language}>"])
        about = [state.picture if task == "caption" else state.whole for state in states]
        found = self._search(about, [prompt] * len(states), max_tokens, beams)
        both = [i for i, state in enumerate(states) if task == "caption" and state.has_audio]
        begun = [(*prompt, *found[i].tokens, self._special["<and>"]) for i in both]
        heard = dict(
            zip(both, self._search([states[i].whole for i in both], begun, max_tokens, beams), strict=True)
        )
        return [self._written(one, heard.get(i), prompt, task, language) for i, one in enumerate(found)]

    def embed_texts(self, texts: Sequence[str]) -> Floats:
        """Search embeddings of queries, (N, E), L2 norm 1; compare with `State.embedding` by dot product."""
        rows = [
            [
                self._special["<embed>"],
                *self.tokenizer.encode(text.lower()).ids[: self.most_tokens],
                self._special["<end>"],
            ]
            for text in texts
        ]
        tokens = np.zeros((len(rows), max(map(len, rows))), np.int64)
        for i, row in enumerate(rows):
            tokens[i, : len(row)] = row
        last = np.array([len(row) - 1 for row in rows], np.int64)
        (embeddings,) = self._sessions["text"].run({"tokens": tokens, "last": last})
        return embeddings

    def attention(self, state: State, written: Written) -> Floats:
        """Where each token of a caption looked in the picture, (tokens, 8, 8), each map of sum 1.

        Raises:
            ValueError: The item has no picture.
        """
        picture = state.picture
        if picture is None:
            raise ValueError("there is no picture to look at")
        tokens = np.array([[*written.prompt, *self._caption(written)]], np.int64)
        (weights,) = self._sessions["attention"].run(
            {"tokens": tokens, "prefix_keys": picture.keys[None], "prefix_values": picture.values[None]}
        )
        # Token t + 1 was chosen while looking from token t; the first picture token is the whole picture.
        looks = weights[0, self._attention_layers, len(written.prompt) - 1 : -1, 1 : self._look_tokens].mean(
            axis=0
        )
        side = round(float(looks.shape[1]) ** 0.5)
        maps: Floats = (looks / looks.sum(axis=1, keepdims=True)).reshape(-1, side, side)
        return maps

    def token_texts(self, written: Written) -> list[str]:
        """The piece of text that each token of a caption stands for, to label maps with."""
        return [str(self.tokenizer.decode([token])) for token in self._caption(written)]

    def _caption(self, written: Written) -> list[int]:
        tokens, middle = list(written.tokens), self._special["<and>"]
        return tokens[: tokens.index(middle)] if middle in tokens else tokens

    def _read(self, tokens: Floats) -> tuple[Prefix, Floats, Floats]:
        """One item's tokens, (1, P, width): their prefix, embedding (1, E) and tag scores (1, tags)."""
        keys, values, embedding, tags = self._sessions["prefix"].run({"tokens": tokens})
        return Prefix(keys[0], values[0]), embedding, tags

    def _hear(self, samples: Floats) -> tuple[Floats, Floats]:
        """Tokens (1, P, width) and mean class scores of a sound."""
        if samples.ndim != 1 or not len(samples):
            raise ValueError(f"a sound is (N,) with N at least 1, not {samples.shape}")
        tokens, scores = self._sessions["audio"].run({"patches": log_mel_patches(samples)})
        return tokens, scores.mean(axis=0)

    def _check(self, states: Sequence[State], task: str, language: str, max_tokens: int, beams: int) -> None:
        if task not in self.tasks:
            raise ValueError(f"this model has no task {task!r}, only {', '.join(self.tasks)}")
        if language not in self.languages:
            raise ValueError(f"this model writes {', '.join(self.languages)}, not {language!r}")
        if not 1 <= max_tokens <= self.most_tokens or beams < 1:
            raise ValueError(f"max_tokens must lie in [1, {self.most_tokens}], and beams be 1 or more")
        if any(state.picture is None if task == "caption" else not state.has_audio for state in states):
            raise ValueError(f"the task {task!r} needs a {'picture' if task == 'caption' else 'sound'}")

    def _search(
        self, about: Sequence[Prefix | None], begun: Sequence[tuple[int, ...]], max_tokens: int, beams: int
    ) -> list[Found]:
        """How each text goes on that has begun so; those of equal lengths together."""
        buckets: dict[tuple[int, int], list[int]] = defaultdict(list)
        for i, (prefix, text) in enumerate(zip(about, begun, strict=True)):
            if prefix is not None:
                buckets[prefix.length, len(text)].append(i)
        found: dict[int, Found] = {}
        for (_, length), rows in buckets.items():
            most = min(max_tokens, self._places - length)
            for start in range(0, len(rows), _ROWS):
                part = rows[start : start + _ROWS]
                prefixes = [prefix for i in part if (prefix := about[i]) is not None]
                texts = self._search_batch(prefixes, np.array([begun[i] for i in part]), most, beams)
                found |= dict(zip(part, texts, strict=True))
        return [found[i] for i in range(len(about))]

    def _search_batch(self, about: Sequence[Prefix], begun: Ids, most: int, beams: int) -> list[Found]:
        keys, values = (np.stack([getattr(prefix, name) for prefix in about]) for name in ("keys", "values"))
        end = self._special["<end>"]
        layers, heads, size = self._text_cache
        nothing = np.zeros((len(about), 1, layers, heads, 0, size), np.float32)
        cache = CACHES[self._device](
            StepGraph(self._sessions["step"], _step_feeds, flat=False),
            {"prefix_keys": keys, "prefix_values": values},
            {"text_keys": nothing, "text_values": nothing},
        )
        never = np.array([token for token in self._special.values() if token != end])
        return search(cache, len(about), begun, most=most, beams=beams, end=end, never=never)

    def _written(
        self, found: Found, heard: Found | None, prompt: tuple[int, int], task: Task, language: str
    ) -> Written:
        after = () if heard is None else (self._special["<and>"], *heard.tokens)
        return Written(
            self._text(found, task, language),
            None if heard is None else self._text(heard, task, language),
            (*found.tokens, *after),
            found.score,
            found.truncated or (heard is not None and heard.truncated),
            prompt,
        )

    def _text(self, found: Found, task: Task, language: str) -> str:
        # Tokens are bytes: a character may be left unfinished.
        text = str(self.tokenizer.decode(found.tokens)).replace("\ufffd", "").strip()
        return text if task == "label" else _as_sentence(text, language, truncated=found.truncated)


def squash(image: Image.Image) -> Pixels:
    """A picture of any size as the model wants it: RGB, 240x240, the whole of it, not its shape."""
    pixels: Pixels = np.asarray(image.convert("RGB").resize((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC))
    return pixels


def _step_feeds(tokens: NDArray[np.int64], place: int) -> Feeds:
    return {"tokens": tokens, "place": np.full(len(tokens), place, np.int64)}


def _best(names: Sequence[str], scores: Floats, most: int | None = None) -> dict[str, float]:
    order = np.argsort(-scores, kind="stable")[:most]
    return {names[i]: round(float(scores[i]), 4) for i in order}


def _as_sentence(text: str, language: str, *, truncated: bool) -> str:
    if not text:
        return text
    stop = "" if truncated else "。" if language == "zh" else "."
    return text[0].upper() + text[1:] + stop
