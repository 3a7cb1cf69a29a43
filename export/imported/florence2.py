"""Adapter of Florence-2 (`Florence2ForConditionalGeneration`, the library's own class)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from transformers import Florence2ForConditionalGeneration, Florence2Processor

from export.imported.adapter import (
    LONGEST_TEXT,
    Asked,
    Parts,
    cross_inputs,
    squashed,
    without_ends,
    writing_config,
)
from export.imported.checkpoint import Checkpoint
from export.imported.florence2_graphs import Florence2Encode, Florence2Step
from export.imported.onnx_files import Graph
from pipeline.core.abilities import Abilities, Preset
from pipeline.core.errors import UnusableCheckpoint
from pipeline.inference.imported_config import ImportedConfig
from pipeline.inference.picture_input import Pixels

_TASKS: dict[Preset, str] = {
    "caption": "<CAPTION>",
    "alt_text": "<CAPTION>",
    "title": "<CAPTION>",
    "detailed": "<MORE_DETAILED_CAPTION>",
}
_TOKENS: dict[str, int] = {"caption": 60, "alt_text": 60, "title": 60, "detailed": 300, "prompt": 60}


class Florence2Adapter:
    """The task tokens are presets; Florence-2 was not trained to follow other words."""

    architecture: type[Any] = Florence2ForConditionalGeneration

    def take_apart(self, checkpoint: Checkpoint, languages: Sequence[str], longest_px: int | None) -> Parts:
        if longest_px is not None:
            raise UnusableCheckpoint("Florence-2 takes pictures of one size; there are no tiles")
        model, text = checkpoint.model, checkpoint.model.config.text_config
        if text.model_type != "bart":
            raise UnusableCheckpoint(f"a text model of type {text.model_type!r}; Florence-2 has BART's")
        size = checkpoint.image_processor.size
        side = (size.get("height") or 0, size.get("width") or 0)
        layers, heads = text.decoder_layers, text.decoder_attention_heads
        head = text.d_model // heads
        longest = min(LONGEST_TEXT, text.max_position_embeddings - 2)
        forced = model.generation_config.forced_bos_token_id
        first = model.generation_config.decoder_start_token_id
        first = text.decoder_start_token_id if first is None else first
        start = (first,) if forced is None else (first, forced)
        sentences = _processor(checkpoint).task_prompts_without_inputs
        config = ImportedConfig(
            family="florence2",
            layers=layers,
            heads=heads,
            head_size=head,
            places=text.max_position_embeddings,
            picture=squashed(checkpoint.image_processor, side),
            writing=writing_config(
                model.generation_config,
                model.generation_config.eos_token_id,
                start,
                encoder_decoder=True,
            ),
            prompts={preset: sentences[task] for preset, task in _TASKS.items()},
            tokens={kind: min(count, longest) for kind, count in _TOKENS.items()},
            picture_tokens=checkpoint.image_processor.image_seq_length,
        )
        abilities = Abilities(
            languages=tuple(languages), presets=tuple(_TASKS), max_tokens=longest, max_beams=8
        )
        names, cross = cross_inputs(layers, 3, heads, config.picture_tokens + 6, head)
        encode = Graph(
            Florence2Encode(model),
            (torch.rand(2, 3, *side), torch.randint(0, text.vocab_size, (2, 6))),
            ("pixels", "prompt"),
            names,
            ({0: "b"}, {0: "b", 1: "p"}),
        )
        step = Graph(
            Florence2Step(model),
            (torch.randint(0, text.vocab_size, (3, 1)), torch.rand(3, 2, layers, heads, 5, head), *cross),
            ("tokens", "text", *names),
            ("logits", "longer"),
            ({0: "b"}, {0: "b", 4: "t"}, *[{0: "b", 2: "s"}] * len(names)),
        )
        return Parts(config, abilities, {"encode": encode, "step": step})

    def tokens_of_torch(
        self, checkpoint: Checkpoint, asked: Sequence[Asked], most: int, beams: int = 1
    ) -> list[list[int]]:
        """Prompts of several lengths are padded on the right, which the encoder's mask undoes."""
        rules = checkpoint.model.generation_config
        inputs = _processor(checkpoint)(
            images=[Image.fromarray(picture) for picture, _ in asked],
            text=[prompt for _, prompt in asked],
            padding=True,
            padding_side="right",
            return_tensors="pt",
        )
        # The library replaces the last token of a text that was cut off by an end, if told to.
        last, rules.forced_eos_token_id = rules.forced_eos_token_id, None
        try:
            with torch.no_grad():
                found = checkpoint.model.generate(
                    **inputs, max_new_tokens=most, do_sample=False, num_beams=beams, early_stopping=beams > 1
                )
        finally:
            rules.forced_eos_token_id = last
        ends = rules.eos_token_id if isinstance(rules.eos_token_id, list) else [rules.eos_token_id]
        given = 1 if rules.forced_bos_token_id is None else 2
        return without_ends(found[:, given:], ends)

    def numbers_of_torch(self, checkpoint: Checkpoint, pixels: Pixels) -> Tensor:
        found: Tensor = checkpoint.image_processor(Image.fromarray(pixels), return_tensors="pt").pixel_values
        return found


def _processor(checkpoint: Checkpoint) -> Any:
    try:
        return Florence2Processor(checkpoint.image_processor, checkpoint.tokenizer)
    except AttributeError as error:
        raise UnusableCheckpoint(f"tokenizer or preprocessor config are not Florence-2's: {error}") from error
