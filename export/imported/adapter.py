"""What an adapter is: a family of models, and how one of them is taken apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from export.imported.checkpoint import Checkpoint
from export.imported.onnx_files import Graph
from pipeline.core.abilities import Abilities
from pipeline.core.errors import UnusableCheckpoint
from pipeline.inference.imported_config import ImportedConfig, PictureConfig, WritingConfig
from pipeline.inference.picture_input import Pixels

LONGEST_TEXT = 1024
Asked = tuple[Pixels, str]  # a picture as it was decoded, and a prompt in the family's own words
# Generation rules that the engine does not know, with the values that make them rules of nothing.
_UNKNOWN_RULES: dict[str, tuple[Any, ...]] = {
    "bad_words_ids": (None, []),
    "begin_suppress_tokens": (None, []),
    "encoder_no_repeat_ngram_size": (None, 0),
    "encoder_repetition_penalty": (None, 1.0),
    "exponential_decay_length_penalty": (None,),
    "forced_decoder_ids": (None, []),
    "guidance_scale": (None, 1.0),
    "sequence_bias": (None, {}),
}


@dataclass(frozen=True)
class Parts:
    """A model taken apart.

    Attributes:
        config: What the engine has to know.
        abilities: What the operation may ask for.
        graphs: By role: encode, step.
    """

    config: ImportedConfig
    abilities: Abilities
    graphs: dict[str, Graph]


class Adapter(Protocol):
    """Takes models of one class apart."""

    @property
    def architecture(self) -> type[Any]:
        """The class."""

    def take_apart(self, checkpoint: Checkpoint, languages: Sequence[str], longest_px: int | None) -> Parts:
        """Config and graphs of a loaded model.

        Args:
            checkpoint: Of this adapter's class.
            languages: What the model writes.
            longest_px: The longer side that pictures are brought to before they are cut into tiles, instead
                of the checkpoint's own.

        Raises:
            UnusableCheckpoint: It is of the class, but has something that Triptych cannot do.
        """

    def tokens_of_torch(
        self, checkpoint: Checkpoint, asked: Sequence[Asked], most: int, beams: int = 1
    ) -> list[list[int]]:
        """What the library itself writes, in one batch, through its own processor; one beam is greedy."""

    def numbers_of_torch(self, checkpoint: Checkpoint, pixels: Pixels) -> Tensor:
        """What the library's processor makes of a picture, (n, 3, h, w)."""


def picture_config(processor: Any, *, size: tuple[int, int], longest_px: int | None = None) -> PictureConfig:
    """The engine's picture config from a processor of the library.

    Args:
        processor: Its attributes are read.
        size: Height and width that the network takes.
        longest_px: Of tiles, as in `PictureConfig`.
    """
    if not processor.do_resize or getattr(processor, "do_center_crop", False):
        raise UnusableCheckpoint("preprocessor_config.json: pictures must be resized, and not cropped")
    normal, scaled = processor.do_normalize, processor.do_rescale
    return PictureConfig(
        height_px=size[0],
        width_px=size[1],
        longest_px=longest_px,
        split=longest_px is not None and bool(processor.do_image_splitting),
        resample=int(processor.resample),
        scale=float(processor.rescale_factor) if scaled else 1.0,
        mean=tuple(processor.image_mean) if normal else (0.0, 0.0, 0.0),
        std=tuple(processor.image_std) if normal else (1.0, 1.0, 1.0),
    )


def squashed(processor: Any, wanted: tuple[int, int]) -> PictureConfig:
    """The picture config of a network that takes one size, checked against it."""
    size = (processor.size.get("height"), processor.size.get("width"))
    if size != wanted:
        raise UnusableCheckpoint(
            f"preprocessor_config.json: pictures of {size}, but the network takes {wanted}"
        )
    return picture_config(processor, size=wanted)


def writing_config(
    rules: Any, ends: object, start: tuple[int, ...] = (), *, encoder_decoder: bool = False
) -> WritingConfig:
    """The engine's rules from a generation config of the library.

    Args:
        rules: Its attributes are read.
        ends: The token that ends a text, or several.
        start: Tokens that the decoder is given.
        encoder_decoder: The library then counts all of them but the first as written.
    """
    for name, neutral in _UNKNOWN_RULES.items():
        if getattr(rules, name, None) not in neutral:
            raise UnusableCheckpoint(f"generation_config.json: {name} is a rule that Triptych does not have")
    if not encoder_decoder and (rules.min_length or 0) > 0:
        raise UnusableCheckpoint("generation_config.json: min_length counts the prompt; give min_new_tokens")
    least = rules.min_new_tokens or 0
    if encoder_decoder:
        least = max(least - len(start) + 1, (rules.min_length or 0) - len(start), 0)
    listed = ends if isinstance(ends, (list, tuple)) else [ends]
    if not listed or any(not isinstance(token, int) for token in listed):
        raise UnusableCheckpoint("the config names no token that ends a text")
    return WritingConfig(
        start=start,
        ends=tuple(listed),
        no_repeat_ngram=rules.no_repeat_ngram_size or 0,
        repetition_penalty=rules.repetition_penalty or 1.0,
        least_tokens=least,
        never=tuple(rules.suppress_tokens or ()),
    )


def cross_inputs(layers: int, *sizes: int) -> tuple[tuple[str, ...], list[Tensor]]:
    """Names and examples of the keys and values of every layer."""
    names = tuple(f"{kind}_{layer}" for layer in range(layers) for kind in ("keys", "values"))
    return names, [torch.rand(*sizes) for _ in names]


def without_ends(tokens: Tensor, ends: Sequence[int]) -> list[list[int]]:
    """Rows up to their first end."""
    rows: list[list[int]] = tokens.tolist()
    return [row[: next((i for i, token in enumerate(row) if token in ends), len(row))] for row in rows]
