"""Adapter of BLIP captioning models (`BlipForConditionalGeneration`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from transformers import BlipForConditionalGeneration

from export.imported.adapter import (
    Asked,
    Parts,
    cross_inputs,
    squashed,
    without_ends,
    writing_config,
)
from export.imported.blip_graphs import BlipEncode, BlipStep
from export.imported.checkpoint import Checkpoint
from export.imported.onnx_files import Graph
from pipeline.core.abilities import Abilities, Preset
from pipeline.core.errors import UnusableCheckpoint
from pipeline.inference.imported_config import ImportedConfig
from pipeline.inference.picture_input import Pixels

_PROMPT_ROOM = 16  # of the longest text's places, for words that it begins with
_TOKENS = 40


class BlipAdapter:
    """A caption, or the rest of one whose first words are the prompt."""

    architecture: type[Any] = BlipForConditionalGeneration

    def take_apart(self, checkpoint: Checkpoint, languages: Sequence[str], longest_px: int | None) -> Parts:
        if longest_px is not None:
            raise UnusableCheckpoint("BLIP takes pictures of one size; there are no tiles")
        model, text, vision = checkpoint.model, *_configs(checkpoint)
        layers, heads = text.num_hidden_layers, text.num_attention_heads
        size = text.hidden_size // heads
        presets: tuple[Preset, ...] = ("caption", "alt_text", "title")
        longest = min(256, text.max_position_embeddings - _PROMPT_ROOM)
        config = ImportedConfig(
            family="blip",
            layers=layers,
            heads=heads,
            head_size=size,
            places=text.max_position_embeddings,
            picture=squashed(checkpoint.image_processor, (vision.image_size, vision.image_size)),
            writing=writing_config(
                model.text_decoder.generation_config, text.sep_token_id, (text.bos_token_id,)
            ),
            prompts=dict.fromkeys(presets, ""),
            tokens=dict.fromkeys((*presets, "prompt"), min(_TOKENS, longest)),
        )
        abilities = Abilities(
            languages=tuple(languages), presets=presets, prompt=True, max_tokens=longest, max_beams=8
        )
        seen = 1 + (vision.image_size // vision.patch_size) ** 2
        names, cross = cross_inputs(layers, 3, heads, seen, size)
        encode = Graph(
            BlipEncode(model),
            (torch.rand(2, 3, vision.image_size, vision.image_size),),
            ("pixels",),
            names,
            ({0: "b"},),
        )
        step = Graph(
            BlipStep(model),
            (torch.full((3, 1), text.bos_token_id), torch.rand(3, 2, layers, heads, 5, size), *cross),
            ("tokens", "text", *names),
            ("logits", "longer"),
            ({0: "b"}, {0: "b", 4: "t"}, *[{0: "b"}] * len(names)),
        )
        return Parts(config, abilities, {"encode": encode, "step": step})

    def tokens_of_torch(
        self, checkpoint: Checkpoint, asked: Sequence[Asked], most: int, beams: int = 1
    ) -> list[list[int]]:
        """Prompts of one batch must have the same number of tokens: padding would move BLIP's positions."""
        text, _ = _configs(checkpoint)
        pixels = torch.cat([self.numbers_of_torch(checkpoint, picture) for picture, _ in asked])
        words = [f"{prompt}" for _, prompt in asked]
        ids = checkpoint.tokenizer(words, return_tensors="pt").input_ids
        with torch.no_grad():
            found = checkpoint.model.generate(
                pixel_values=pixels,
                input_ids=ids,
                max_new_tokens=most,
                do_sample=False,
                num_beams=beams,
                early_stopping=beams > 1,
            )
        return without_ends(found[:, ids.shape[1] - 1 :], [text.sep_token_id])

    def numbers_of_torch(self, checkpoint: Checkpoint, pixels: Pixels) -> Tensor:
        found: Tensor = checkpoint.image_processor(Image.fromarray(pixels), return_tensors="pt").pixel_values
        return found


def _configs(checkpoint: Checkpoint) -> tuple[Any, Any]:
    config = checkpoint.model.config
    return config.text_config, config.vision_config
