"""Several texts after one prefix, packed into one row: the prefix is encoded once for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from pipeline.models.description.model import DescriptionModel
from pipeline.models.description.shape import END, PAD
from pipeline.models.description.transformer import Cache, as_mask

_IGNORED = -100
_PROMPT = 2  # task and language: given, never predicted


@dataclass(frozen=True)
class Packed:
    """Texts of B rows, S tokens each.

    Attributes:
        tokens: Ids, (B, S).
        places: Of each token in its own text, (B, S).
        targets: The next token of the same text, -100 where nothing is to be predicted, (B, S).
        texts: Which text of the row a token belongs to, -1 for padding, (B, S).
    """

    tokens: Tensor
    places: Tensor
    targets: Tensor
    texts: Tensor

    def seen(self) -> Tensor:
        """Bool (B, 1, S, S): a token sees itself and what is before it in its own text."""
        same = self.texts[:, :, None] == self.texts[:, None, :]
        size = same.shape[1]
        return (same & torch.ones(size, size, dtype=torch.bool).tril())[:, None]


def text_tokens(task: int, language: int, ids: Sequence[int]) -> list[int]:
    """A whole text: what is asked, in which language, the answer, the end."""
    return [task, language, *ids, END]


def pack(rows: Sequence[Sequence[Sequence[int]]]) -> Packed:
    """Rows of texts, each made by `text_tokens`."""
    size = max(sum(len(text) - 1 for text in row) for row in rows)
    tokens = torch.full((len(rows), size), PAD)
    places, targets = torch.zeros_like(tokens), torch.full_like(tokens, _IGNORED)
    texts = torch.full_like(tokens, -1)
    for i, row in enumerate(rows):
        start = 0
        for j, text in enumerate(row):
            end = start + len(text) - 1
            tokens[i, start:end] = torch.tensor(text[:-1])
            targets[i, start + _PROMPT - 1 : end] = torch.tensor(text[_PROMPT:])
            places[i, start:end] = torch.arange(len(text) - 1)
            texts[i, start:end] = j
            start = end
    return Packed(tokens, places, targets, texts)


def predict(
    model: DescriptionModel, packed: Packed, prefix: Cache | None, prefix_mask: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Logits (N, vocabulary) where something is to be predicted, and what was to be, (N,)."""
    seen = packed.seen()
    if prefix is not None:
        batch, size = packed.tokens.shape
        length = prefix[0].shape[3]
        before = (
            torch.ones(batch, 1, 1, length, dtype=torch.bool)
            if prefix_mask is None
            else prefix_mask[:, None, None]
        )
        seen = torch.cat([before.expand(batch, 1, size, length), seen], dim=3)
    states, _ = model.read(packed.tokens, packed.places, prefix, as_mask(seen))
    wanted = packed.targets != _IGNORED
    return model.logits(states[wanted]).float(), packed.targets[wanted]


def text_loss(
    model: DescriptionModel,
    packed: Packed,
    prefix: Cache | None,
    prefix_mask: Tensor | None = None,
    smoothing: float = 0.1,
) -> Tensor:
    """Mean cross-entropy of the next token."""
    logits, targets = predict(model, packed, prefix, prefix_mask)
    return F.cross_entropy(logits, targets, label_smoothing=smoothing)
