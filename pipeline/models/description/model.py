"""What is trained: a connector a modality, the Transformer, and its heads for text, search and tags."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.models.description import efficientnet, yamnet
from pipeline.models.description.shape import EMBED, Shape
from pipeline.models.description.transformer import Cache, Transformer, as_mask, causal_mask

_CELLS = efficientnet.GRID**2
LOOK_TOKENS = _CELLS + 1  # the cells row by row, after one token for the whole picture
SAID_CLASSES = 2  # of the encoder's own, the likeliest first
NAME_TOKENS = 6  # of each one's name; what is longer is cut
IMAGE_TOKENS = LOOK_TOKENS + SAID_CLASSES * NAME_TOKENS
MOST_AUDIO_TOKENS = 20
_LEAST_LOGIT = -12.0  # of an audio class: what is less likely than that is all the same


class ImageConnector(nn.Module):
    """Cells of the image encoder to tokens."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.project = nn.Linear(efficientnet.WIDE_CHANNELS, shape.width)
        self.norm = nn.LayerNorm(shape.width)
        self.places = nn.Parameter(0.02 * torch.randn(LOOK_TOKENS, shape.width))

    def forward(self, cells: Tensor) -> Tensor:
        """(B, 64, 1280) in [0, 6] to (B, 65, width)."""
        projected = self.project(cells)
        tokens = torch.cat([projected.mean(dim=1, keepdim=True), projected], dim=1)
        out: Tensor = self.norm(tokens) + self.places
        return out


class ClassConnector(nn.Module):
    """Names of classes, in the Transformer's own words, to tokens.

    The encoder knows a thousand kinds of things, most of which no photograph that captions are learnt from
    shows; their names are words that text alone teaches.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.project = nn.Linear(shape.width, shape.width)
        nn.init.eye_(self.project.weight)  # a name is easiest to repeat where its words look like words
        self.norm = nn.LayerNorm(shape.width)
        self.places = nn.Parameter(0.02 * torch.randn(SAID_CLASSES * NAME_TOKENS, shape.width))
        self.certainty = nn.Parameter(0.02 * torch.randn(shape.width))

    def forward(self, names: Tensor, scores: Tensor) -> Tensor:
        """Word embeddings (B, 2, 6, width) and scores in [0, 1], (B, 2), to (B, 12, width)."""
        certainty = (scores[:, :, None, None] * self.certainty).expand_as(names)
        out: Tensor = self.norm(self.project(names)).flatten(1, 2) + self.places + certainty.flatten(1, 2)
        return out


class AudioConnector(nn.Module):
    """Features and class logits of the audio encoder to tokens, one a patch of a second."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.narrow = nn.Linear(yamnet.CHANNELS + yamnet.CLASSES, shape.audio_rank)
        self.project = nn.Linear(shape.audio_rank, shape.width)
        self.norm = nn.LayerNorm(shape.width)
        self.places = nn.Parameter(0.02 * torch.randn(MOST_AUDIO_TOKENS, shape.width))

    def forward(self, features: Tensor, logits: Tensor) -> Tensor:
        """(B, P, 1024) in [0, 6] and (B, P, 521) to (B, P, width)."""
        scores = F.logsigmoid(logits).clamp(min=_LEAST_LOGIT) / 4
        inner = F.gelu(self.narrow(torch.cat([features, scores], dim=2)), approximate="tanh")
        out: Tensor = self.norm(self.project(inner)) + self.places[: features.shape[1]]
        return out


class DescriptionModel(nn.Module):
    """Everything between the frozen encoders and the words.

    Args:
        shape: Sizes.
        dropout: Of the Transformer's branches, in training.
    """

    def __init__(self, shape: Shape, dropout: float = 0.0) -> None:
        super().__init__()
        self.shape = shape
        self.image = ImageConnector(shape)
        self.classes = ClassConnector(shape)
        self.audio = AudioConnector(shape)
        self.words = nn.Embedding(shape.vocabulary, shape.width)
        self.places = nn.Parameter(0.02 * torch.randn(shape.positions, shape.width))
        self.transformer = Transformer(shape, dropout)
        self.embed_prefix = nn.Linear(shape.width, shape.embedding)
        self.embed_words = nn.Linear(shape.width, shape.embedding)
        self.tags = nn.Linear(shape.width, shape.tags)
        self.log_temperature = nn.Parameter(torch.tensor(2.7))
        unnamed = torch.zeros(efficientnet.CLASSES, NAME_TOKENS, dtype=torch.int32)
        self.register_buffer("class_words", unnamed, persistent=False)
        nn.init.normal_(self.words.weight, std=0.02)
        for name, parameter in self.transformer.named_parameters():
            if name.endswith("_out.weight"):
                nn.init.normal_(parameter, std=0.02 / (2 * shape.layers) ** 0.5)
            elif name.endswith(("qkv.weight", "feed_in.weight")):
                nn.init.normal_(parameter, std=0.02)

    def name_classes(self, class_words: Tensor) -> None:
        """Says what the image encoder's classes are called.

        Args:
            class_words: Tokens of each class's name, then `<pad>`: int32 (1000, 6). They come with the
                tokenizer, and are no part of a checkpoint.
        """
        self.class_words = class_words

    def look(self, cells: Tensor, probabilities: Tensor) -> Tensor:
        """Tokens of a picture.

        Args:
            cells: (B, 64, 1280) in [0, 6].
            probabilities: Of the encoder's classes, (B, 1000), of sum 1.

        Returns:
            (B, 77, width): the whole, the cells, the names of the likeliest classes.
        """
        scores, classes = probabilities.topk(SAID_CLASSES, dim=1)
        return torch.cat([self.image(cells), self.say(classes, scores)], dim=1)

    def say(self, classes: Tensor, scores: Tensor) -> Tensor:
        """Tokens (B, 12, width) of classes (int64) and their scores, (B, 2) each, the likeliest first."""
        tokens: Tensor = self.classes(self.words(self.class_words[classes].long()), scores)
        return tokens

    def encode(self, tokens: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Cache]:
        """Runs the prefix.

        Args:
            tokens: Of both modalities, picture first, (B, P, width).
            mask: bool (B, P), False where a row has no token; None: every row has P.

        Returns:
            A pooled state (B, width), and the prefix's keys and values.
        """
        seen = None if mask is None else as_mask(mask[:, None, None, :])
        out, cache = self.transformer(tokens, None, seen)
        if mask is None:
            return out.mean(dim=1), cache
        weight = mask[:, :, None].to(out.dtype)
        return (out * weight).sum(dim=1) / weight.sum(dim=1), cache

    def read(self, tokens: Tensor, places: Tensor, past: Cache | None, mask: Tensor) -> tuple[Tensor, Cache]:
        """Runs text after a prefix.

        Args:
            tokens: Ids, (B, T).
            places: Of each in its own text, (B, T) or (T,).
            past: Of prefix and earlier text.
            mask: As `Layer` wants it.

        Returns:
            States (B, T, width), and the longer cache.
        """
        x = self.words(tokens) + self.places[places]
        out, cache = self.transformer(x, past, mask)
        return out, cache

    def logits(self, states: Tensor) -> Tensor:
        """Of the next token: (..., vocabulary)."""
        return F.linear(states, self.words.weight)

    def search_text(self, tokens: Tensor, last: Tensor) -> Tensor:
        """L2-normalised embeddings (B, embedding) of texts; args as of `read_whole`."""
        return F.normalize(self.embed_words(self.read_whole(tokens, last)), dim=1)

    def read_whole(self, tokens: Tensor, last: Tensor) -> Tensor:
        """A pooled state (B, width) of each text.

        Args:
            tokens: `<embed>`, the text, `<end>`, then anything: (B, T).
            last: Place of `<end>` in each row, (B,).
        """
        length = tokens.shape[1]
        places = torch.arange(length, device=tokens.device)
        states, _ = self.read(tokens, places, None, causal_mask(length, 0, tokens.device))
        there = (places[None] <= last[:, None])[:, :, None].to(states.dtype)
        pooled: Tensor = (states * there).sum(dim=1) / there.sum(dim=1)
        return pooled

    def search_prefix(self, pooled: Tensor) -> Tensor:
        """L2-normalised embeddings (B, embedding) of what `encode` pooled."""
        return F.normalize(self.embed_prefix(pooled), dim=1)


def embed_tokens(ids: list[int], end: int) -> list[int]:
    """A text's tokens as `search_text` wants them."""
    return [EMBED, *ids, end]
