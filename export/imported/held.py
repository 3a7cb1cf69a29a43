"""Keys and values that a graph is given as inputs, in the form in which transformers' layers ask for them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicLayer, EncoderDecoderCache


class HeldLayer(DynamicLayer):
    """One layer's keys and values: a prefix that never changes, and a text that grows.

    Only the text is a result, so that a step does not copy the prefix into its outputs.

    Args:
        keys: Of the text, (b, heads, t, d); t may be 0.
        values: Likewise.
        prefix: Keys and values before it, (b, heads, p, d) each.
    """

    def __init__(self, keys: Tensor, values: Tensor, prefix: tuple[Tensor, Tensor] | None = None) -> None:
        super().__init__()
        self.keys, self.values, self.prefix = keys, values, prefix
        self.is_initialized = True

    def update(
        self, key_states: Tensor, value_states: Tensor, *_: object, **__: object
    ) -> tuple[Tensor, Tensor]:
        """Appends, and returns all that is to be looked at."""
        self.keys = torch.cat([self.keys, key_states], dim=-2)
        self.values = torch.cat([self.values, value_states], dim=-2)
        if self.prefix is None:
            return self.keys, self.values
        return torch.cat([self.prefix[0], self.keys], dim=-2), torch.cat(
            [self.prefix[1], self.values], dim=-2
        )

    def get_seq_length(self) -> int:
        """Without looking whether there is anything, which would fix a traced length."""
        before = 0 if self.prefix is None else self.prefix[0].shape[-2]
        return int(self.keys.shape[-2] + before) if isinstance(before, int) else self.keys.shape[-2] + before


def text_layers(text: Tensor, prefix: Sequence[Tensor] = ()) -> list[HeldLayer]:
    """The layers of a text's keys and values.

    Args:
        text: (b, 2, layers, heads, t, d).
        prefix: Keys and values of layer 0, of layer 1, ...
    """
    layers = []
    for i in range(text.shape[2]):
        before = (prefix[2 * i], prefix[2 * i + 1]) if prefix else None
        layers.append(HeldLayer(text[:, 0, i], text[:, 1, i], before))
    return layers


def with_encoder(text: Tensor, cross: Sequence[Tensor]) -> EncoderDecoderCache:
    """The text's layers, and those of an encoder's output, which no step computes again."""
    held = [HeldLayer(cross[2 * i], cross[2 * i + 1]) for i in range(len(cross) // 2)]
    cache = EncoderDecoderCache(Cache(layers=text_layers(text)), Cache(layers=held))
    cache.is_updated = dict.fromkeys(range(len(held)), True)
    return cache


def stacked(layers: Sequence[HeldLayer]) -> Tensor:
    """The text's keys and values as one tensor, (b, 2, layers, heads, t, d)."""
    return torch.stack(
        [
            torch.stack([layer.keys for layer in layers], dim=1),
            torch.stack([layer.values for layer in layers], dim=1),
        ],
        dim=1,
    )


def as_heads(states: Tensor, size: int) -> Tensor:
    """(b, s, heads x size) to (b, heads, s, size)."""
    heads: Tensor = states.unflatten(-1, (-1, size)).transpose(1, 2)
    return heads
