"""An imported describing model under ONNX Runtime: prepared pictures and a prompt in, tokens out.

    encode   once a picture: keys and values for the decoder's cross-attention (BLIP, Florence-2), or what the
             decoder reads in place of the picture's tokens (Idefics3: it reads all of the prompt once)
    step     once a token, many rows at a time: logits, and the text's keys and values

Rows of one picture grid and one prompt are written together, so that nothing is ever padded.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from pipeline.core.errors import UnsupportedByModel
from pipeline.core.operation import Device, LoadedArtifact
from pipeline.inference.imported_config import WritingConfig, config_of
from pipeline.inference.imported_prompt import prompt_ids
from pipeline.inference.kv_cache import CACHES, KvCache, StepGraph
from pipeline.inference.picture_input import Grid, Pixels, grid_of, numbers, prepare
from pipeline.inference.session import Feeds, OrtSession
from pipeline.inference.token_rules import log_probabilities
from pipeline.inference.token_search import Floats, Found, Ids, Rows, search

GRAPHS = ("encode", "step")
_ROWS = 8  # a full-size row holds about 50 MB of keys and values


@dataclass(frozen=True)
class _Known:
    """What is known before the first token is written, of pictures of one grid.

    Attributes:
        prefix: Keys and values by the step graph's names, (rows, heads, p, d).
        start: Tokens that the decoder is given first.
        before: Tokens that it has read already.
    """

    prefix: dict[str, Floats]
    start: list[int]
    before: list[int]


class ImportedModel:
    """A loaded artifact. Threads may share it.

    Args:
        artifact: Verified.
        device: "cpu" or "cuda".
        device_index: Which GPU.

    Raises:
        ArtifactCorrupt: The manifest is none of an imported model, or a graph cannot be loaded.
    """

    def __init__(self, artifact: LoadedArtifact, device: Device = "cpu", device_index: int = 0) -> None:
        manifest, directory = artifact.manifest, artifact.directory
        self.config = config_of(manifest)
        self.tokenizer = Tokenizer.from_file(str(directory / manifest.files["tokenizer"].name))
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()
        self._device: Device = device
        self._encode, self._step = (
            OrtSession(directory / manifest.files[role].name, device, device_index) for role in GRAPHS
        )
        self._names = [
            f"{kind}_{layer}" for layer in range(self.config.layers) for kind in ("keys", "values")
        ]

    def prepare(self, pixels: Pixels) -> Pixels:
        """A picture, uint8 RGB (H, W, 3), as `write` wants it, uint8 RGB."""
        return prepare(pixels, self.config.picture)

    def write(
        self, pictures: Sequence[Pixels], prompt: str, max_tokens: int, beams: int = 1
    ) -> list[Found | UnsupportedByModel]:
        """A text for each picture; what is wrong with one is in its own place.

        Args:
            pictures: Prepared.
            prompt: In the family's own words.
            max_tokens: The longest text.
            beams: 1 is greedy.
        """
        found: dict[int, Found | UnsupportedByModel] = {}
        grids: dict[Grid, list[int]] = defaultdict(list)
        for place, picture in enumerate(pictures):
            grids[grid_of(picture, self.config.picture)].append(place)
        for grid, places in grids.items():
            try:
                ids = self._checked_prompt(prompt, grid, max_tokens)
            except UnsupportedByModel as error:
                found |= dict.fromkeys(places, error)
                continue
            for start in range(0, len(places), _ROWS):
                part = places[start : start + _ROWS]
                known = self._read([pictures[i] for i in part], ids)
                found |= dict(zip(part, self._search(known, len(part), max_tokens, beams), strict=True))
        return [found[place] for place in range(len(pictures))]

    def text(self, tokens: Sequence[int], prompt: str = "") -> str:
        """Tokens as people read them; a BLIP text begins with its prompt."""
        if self.config.family == "blip" and prompt:
            tokens = [*prompt_ids(self.tokenizer, self.config, prompt), *tokens]
        text: str = self.tokenizer.decode(list(tokens), skip_special_tokens=True)
        return text.strip()

    def _checked_prompt(self, prompt: str, grid: Grid, max_tokens: int) -> list[int]:
        ids = prompt_ids(self.tokenizer, self.config, prompt, grid)
        room = self.config.places - len(ids)
        if self.config.family == "florence2":  # its encoder has the prompt, its decoder the text
            room -= self.config.picture_tokens
            if room < 0:
                raise UnsupportedByModel(f"prompt: {len(ids)} tokens are too many for this model")
        elif max_tokens > room:
            raise UnsupportedByModel(
                f"prompt: {len(ids)} tokens, the picture's among them, and {max_tokens} of text are more than"
                f" the {self.config.places} that this model has room for"
            )
        return ids

    def _read(self, pictures: Sequence[Pixels], ids: list[int]) -> _Known:
        read = self._read_prompt if self.config.family == "idefics3" else self._read_picture
        # One at a time: batches gain an encoder nothing on a CPU, and no row depends on another.
        every = [read(numbers(picture, self.config.picture), ids) for picture in pictures]
        arrays = (np.concatenate(layer) for layer in zip(*every, strict=True))
        prefix = dict(zip(self._names, arrays, strict=True))
        if self.config.family == "blip":
            return _Known(prefix, ids, [])
        if self.config.family == "florence2":
            return _Known(prefix, list(self.config.writing.start), [])
        return _Known(prefix, ids[-1:], ids[:-1])

    def _read_picture(self, pixels: Floats, ids: list[int]) -> list[Floats]:
        feeds: dict[str, NDArray[Any]] = {"pixels": pixels}
        if self.config.family == "florence2":
            feeds["prompt"] = np.array([ids], np.int64)
        return self._encode.run(feeds)

    def _read_prompt(self, tiles: Floats, ids: list[int]) -> list[Floats]:
        """All of the prompt but its last token, which the first step is given."""
        (seen,) = self._encode.run({"tiles": tiles})
        config = self.config
        nothing = np.zeros((1, config.heads, 0, config.head_size), np.float32)
        feeds = {
            "tokens": np.array([ids[:-1]], np.int64),
            "seen": seen.reshape(1, -1, config.width),
            "text": self._empty_text(1),
            **dict.fromkeys(self._names, nothing),
        }
        _, longer = self._step.run(feeds)
        pairs = ((longer[:, 0, layer], longer[:, 1, layer]) for layer in range(config.layers))
        return [np.ascontiguousarray(array) for pair in pairs for array in pair]

    def _empty_text(self, rows: int) -> Floats:
        config = self.config
        return np.zeros((rows, 2, config.layers, config.heads, 0, config.head_size), np.float32)

    def _search(self, known: _Known, count: int, max_tokens: int, beams: int) -> list[Found]:
        cache = CACHES[self._device](
            StepGraph(self._step, self._step_feeds, flat=True),
            known.prefix,
            {"text": self._empty_text(count)},
        )
        # A first token that is forced counts as one of the text's.
        forced = len(self.config.writing.start) - 1 if self.config.family == "florence2" else 0
        return search(
            _Writing(cache, known, count, self.config.writing),
            count,
            known.start,
            most=max(max_tokens - forced, 1),
            beams=beams,
            end=self.config.writing.ends[0],
            never=np.array([], np.int64),
        )

    def _step_feeds(self, tokens: Ids, _place: int) -> Feeds:
        feeds: dict[str, NDArray[Any]] = {"tokens": tokens.reshape(-1, 1)}
        if self.config.family == "idefics3":
            feeds["seen"] = np.zeros((tokens.size, 0, self.config.width), np.float32)
        return feeds


class _Writing:
    """What the search goes through: keys and values, and the tokens that the model's rules look back at."""

    def __init__(self, cache: KvCache, known: _Known, count: int, rules: WritingConfig) -> None:
        self._cache, self._rules = cache, rules
        self._history: Ids = np.tile(np.array(known.before, np.int64), (count, 1, 1))
        self._known = len(known.before) + len(known.start)

    def read(self, tokens: Ids, place: int) -> Floats:
        logits = self._cache.read(tokens, place)
        self._history = np.concatenate([self._history, tokens[..., None]], axis=2)
        length = self._history.shape[2]
        flat = logits.reshape(tokens.size, -1)
        scores = log_probabilities(flat, self._history.reshape(-1, length), length - self._known, self._rules)
        return scores.reshape(logits.shape)

    def take(self, rows: Rows, sources: Rows) -> None:
        self._cache.take(rows, sources)
        self._history = self._history[rows[:, None], sources]
