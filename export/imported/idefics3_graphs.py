"""Idefics3 (Laurencon et al., 2024, arXiv 2408.12637), and SmolVLM (arXiv 2504.05299), as two graphs.

    tiles ── SigLIP ── connector ── seen                                                encode, once a picture
    tokens, seen, prefix, text so far ── decoder ── logits, longer text                 step

The same step graph reads the prompt, all of it at once, with what was seen in place of the picture's tokens
(its "text" then becomes the prefix of all later ones), and writes, a token at a time, with nothing seen.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers.cache_utils import Cache

from export.imported.held import stacked, text_layers


class Idefics3Encode(nn.Module):
    """tiles (n, 3, side, side), none of them padded, to what the decoder is given of them, (n, s, width)."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.vision, self.connector = model.model.vision_model, model.model.connector
        config = model.config.vision_config
        self.patches = config.image_size // config.patch_size

    def forward(self, tiles: Tensor) -> Tensor:
        # A tile is whole and of one size: with a mask that says so, positions are constants of the graph.
        mask = torch.ones((tiles.shape[0], self.patches, self.patches), dtype=torch.bool)
        states = self.vision(pixel_values=tiles, patch_attention_mask=mask).last_hidden_state
        found: Tensor = self.connector(states)
        return found


class Idefics3Step(nn.Module):
    """Some tokens further.

    tokens (b, k), seen (b, s, width) with s the picture's tokens among them, text (b, 2, layers, heads, t,
    d), prefix keys and values (b, heads, p, d) to logits (b, vocabulary) after the last token, and text.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.decoder, self.head = model.model.text_model, model.lm_head
        self.embed = model.get_input_embeddings()
        self.picture_token = model.config.image_token_id

    def forward(self, tokens: Tensor, seen: Tensor, text: Tensor, *prefix: Tensor) -> tuple[Tensor, Tensor]:
        rows, count = tokens.shape
        before = prefix[0].shape[2] + text.shape[4]
        layers = text_layers(text, prefix)
        places = before + torch.arange(count)
        every = torch.arange(before + count)
        mask = torch.zeros((count, before + count)).masked_fill(every[None] > places[:, None], float("-inf"))
        found = self.decoder(
            inputs_embeds=self._embeddings(tokens, seen),
            attention_mask=mask[None, None].expand(rows, 1, -1, -1),
            position_ids=places[None].expand(rows, -1),
            cache=Cache(layers=layers),
            use_cache=True,
        )
        return self.head(found.last_hidden_state[:, -1]), stacked(layers)

    def _embeddings(self, tokens: Tensor, seen: Tensor) -> Tensor:
        """The n-th of the picture's tokens is the n-th of what was seen."""
        is_picture = tokens == self.picture_token
        # One more row, which nothing takes, so that there is something to gather from when nothing is seen.
        padded = torch.cat([seen, seen.new_zeros((seen.shape[0], 1, seen.shape[2]))], dim=1)
        nth = torch.where(is_picture, is_picture.long().cumsum(1) - 1, seen.shape[1])
        taken = padded.gather(1, nth.unsqueeze(-1).expand(-1, -1, seen.shape[2]))
        return torch.where(is_picture.unsqueeze(-1), taken, self.embed(tokens))
