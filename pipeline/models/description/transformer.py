"""A causal Transformer with a prefix: pictures and sounds see each other, text sees them and its own past.

The prefix never sees text, so its keys and values are computed once, whatever is asked about it afterwards.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.models.description.shape import Shape

# Keys and values of all layers, (layers, B, heads, tokens, width / heads) each.
Cache = tuple[Tensor, Tensor]

HIDDEN = -1e4  # added to the score of what may not be looked at; float16 and bfloat16 hold it


def attention(q: Tensor, k: Tensor, mask: Tensor | None) -> Tensor:
    """Weights (B, heads, T, P + T), of sum 1. Written out: its gradient is twice as fast so on a CPU."""
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(2, 3)
    if mask is not None:
        scores = scores + mask.to(scores.dtype)
    return torch.softmax(scores, dim=3, dtype=scores.dtype)


def as_mask(seen: Tensor) -> Tensor:
    """A bool mask as an additive one."""
    return torch.where(seen, 0.0, HIDDEN)


class Layer(nn.Module):
    """Pre-norm attention and feed-forward."""

    def __init__(self, shape: Shape, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = shape.heads, dropout
        self.attention_norm = nn.LayerNorm(shape.width)
        self.qkv = nn.Linear(shape.width, 3 * shape.width)
        self.attention_out = nn.Linear(shape.width, shape.width)
        self.feed_norm = nn.LayerNorm(shape.width)
        self.feed_in = nn.Linear(shape.width, shape.feed_forward)
        self.feed_out = nn.Linear(shape.feed_forward, shape.width)

    def split(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values of (B, T, width): (B, heads, T, width / heads) each."""
        batch, length, width = x.shape
        parts = self.qkv(self.attention_norm(x)).view(batch, length, 3, self.heads, width // self.heads)
        q, k, v = parts.permute(2, 0, 3, 1, 4).unbind(0)
        return q, k, v

    def finish(self, x: Tensor, attended: Tensor) -> Tensor:
        """Adds what was attended to, (B, heads, T, width / heads), and the feed-forward branch."""
        x = x + self._drop(self.attention_out(attended.transpose(1, 2).flatten(2)))
        return x + self._drop(self.feed_out(F.gelu(self.feed_in(self.feed_norm(x)), approximate="tanh")))

    def forward(self, x: Tensor, past: Cache | None, mask: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """One layer over T new tokens.

        Args:
            x: (B, T, width).
            past: Keys and values of the tokens before, (B, heads, P, width / heads) each.
            mask: 0 where a token may look and -1e4 where not, to be broadcast to (B, heads, T, P + T).

        Returns:
            (B, T, width), and keys and values of past and new tokens.
        """
        q, k, v = self.split(x)
        if past is not None:
            k, v = torch.cat([past[0], k], dim=2), torch.cat([past[1], v], dim=2)
        return self.finish(x, attention(q, k, mask) @ v), k, v

    def _drop(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.dropout, self.training)


class Transformer(nn.Module):
    """All layers and the last norm."""

    def __init__(self, shape: Shape, dropout: float = 0.0) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Layer(shape, dropout) for _ in range(shape.layers))
        self.norm = nn.LayerNorm(shape.width)

    @property
    def all_layers(self) -> list[Layer]:
        """`layers`, with the type that they have."""
        return [layer for layer in self.layers if isinstance(layer, Layer)]

    def forward(self, x: Tensor, past: Cache | None, mask: Tensor | None) -> tuple[Tensor, Cache]:
        """(B, T, width) of new tokens to (B, T, width) and the cache of past and new tokens; see `Layer`."""
        keys, values = [], []
        for i, layer in enumerate(self.layers):
            x, k, v = layer(x, None if past is None else (past[0][i], past[1][i]), mask)
            keys.append(k)
            values.append(v)
        return self.norm(x), (torch.stack(keys), torch.stack(values))


def causal_mask(new: int, past: int, device: torch.device) -> Tensor:
    """Additive, (new, past + new): a token sees all of the past, itself, and what is new before it."""
    places = torch.arange(past + new, device=device)
    return as_mask(places[None, :] <= places[past:, None])
