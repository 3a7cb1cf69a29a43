"""BLIP (Li et al., 2022, arXiv 2201.12086) as two graphs.

pixels ── vision transformer ── keys, values for each layer's cross-attention     encode, once a picture
token, text so far, those keys and values ── decoder ── logits, longer text        step, once a token
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from export.imported.held import as_heads, stacked, with_encoder


class BlipEncode(nn.Module):
    """pixels (b, 3, h, w) to keys and values of layer 0, of layer 1, ...: (b, heads, s, d) each."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.vision = model.vision_model
        self.layers = model.text_decoder.bert.encoder.layer

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        seen = self.vision(pixel_values=pixels)[0]
        found: list[Tensor] = []
        for layer in self.layers:
            attention = layer.crossattention.self
            size = attention.attention_head_size
            found += [as_heads(attention.key(seen), size), as_heads(attention.value(seen), size)]
        return tuple(found)


class BlipStep(nn.Module):
    """One token further: tokens (b, 1), text (b, 2, layers, heads, t, d) to logits (b, v) and text."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.decoder = model.text_decoder

    def forward(self, tokens: Tensor, text: Tensor, *cross: Tensor) -> tuple[Tensor, Tensor]:
        cache = with_encoder(text, cross)
        rows, places = cross[0].shape[0], cross[0].shape[2]
        found = self.decoder(
            input_ids=tokens,
            encoder_hidden_states=cross[0].new_zeros((rows, places, 1)),  # only its shape counts
            cache=cache,
            use_cache=True,
            is_decoder=True,
        )
        return found.logits[:, -1], stacked(cache.self_attention_cache.layers)
