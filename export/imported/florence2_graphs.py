"""Florence-2 (Xiao et al., 2023, arXiv 2311.06242) as two graphs.

pixels ── DaViT ─┐
prompt ids ──────┴── encoder ── keys, values for each layer's cross-attention     encode, once a picture
token, text so far, those keys and values ── decoder ── logits, longer text        step, once a token
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from export.imported.held import as_heads, stacked, with_encoder


class Florence2Encode(nn.Module):
    """pixels (b, 3, h, w) and the prompt's tokens (b, p), without the picture's own, to keys and values."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model.model
        self.embed = model.get_input_embeddings()
        self.encoder = model.model.language_model.encoder
        self.layers = model.model.language_model.decoder.layers

    def forward(self, pixels: Tensor, prompt: Tensor) -> tuple[Tensor, ...]:
        seen = self.model.get_image_features(pixels).pooler_output  # the picture's tokens come first
        states = self.encoder(inputs_embeds=torch.cat([seen, self.embed(prompt)], dim=1)).last_hidden_state
        found: list[Tensor] = []
        for layer in self.layers:
            attention = layer.encoder_attn
            size = attention.head_dim
            found += [as_heads(attention.k_proj(states), size), as_heads(attention.v_proj(states), size)]
        return tuple(found)


class Florence2Step(nn.Module):
    """One token further: tokens (b, 1), text (b, 2, layers, heads, t, d) to logits (b, v) and text."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.decoder = model.model.language_model.decoder
        self.head = model.lm_head

    def forward(self, tokens: Tensor, text: Tensor, *cross: Tensor) -> tuple[Tensor, Tensor]:
        cache = with_encoder(text, cross)
        rows, places = cross[0].shape[0], cross[0].shape[2]
        found = self.decoder(
            input_ids=tokens,
            encoder_hidden_states=cross[0].new_zeros((rows, places, 1)),  # only its shape counts
            cache=cache,
            use_cache=True,
        )
        return self.head(found.last_hidden_state[:, -1]), stacked(cache.self_attention_cache.layers)
