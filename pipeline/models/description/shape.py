"""Sizes of the describing Transformer, and the tokens that steer it."""

from __future__ import annotations

from dataclasses import dataclass

# Their places in this list are their ids; the tokenizer is trained with them in front.
SPECIAL_TOKENS = (
    "<pad>",
    "<end>",
    "<caption>",
    "<sound>",
    "<label>",
    "<embed>",
    "<and>",
    "<en>",
    "<zh>",
)
PAD, END, CAPTION, SOUND, LABEL, EMBED, AND, EN, ZH = range(len(SPECIAL_TOKENS))
LANGUAGES = {"en": EN, "zh": ZH}


@dataclass(frozen=True)
class Shape:
    """Sizes of everything that is trained.

    Attributes:
        width: Of every token.
        layers: Of the Transformer.
        heads: Of each layer.
        feed_forward: Width inside of a layer.
        vocabulary: Tokens, special ones included.
        positions: The longest text, task and language tokens included.
        audio_rank: Width inside of the audio connector.
        embedding: Numbers in a search embedding.
        tags: Words that the tag head scores.
    """

    width: int = 256
    layers: int = 4
    heads: int = 8
    feed_forward: int = 768
    vocabulary: int = 4096
    positions: int = 80
    audio_rank: int = 96
    embedding: int = 256
    tags: int = 640
