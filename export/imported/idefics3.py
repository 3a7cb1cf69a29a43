"""Adapters of Idefics3 and of SmolVLM, which has the same layout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from transformers import Idefics3ForConditionalGeneration, Idefics3Processor, SmolVLMForConditionalGeneration

from export.imported.adapter import (
    LONGEST_TEXT,
    Asked,
    Parts,
    cross_inputs,
    picture_config,
    without_ends,
    writing_config,
)
from export.imported.checkpoint import Checkpoint, read_json
from export.imported.idefics3_graphs import Idefics3Encode, Idefics3Step
from export.imported.onnx_files import Graph
from pipeline.core.abilities import Abilities, Preset
from pipeline.core.errors import UnusableCheckpoint
from pipeline.inference.imported_config import PROMPT, ImportedConfig
from pipeline.inference.imported_prompt import IMAGE
from pipeline.inference.picture_input import Pixels

_PROMPTS: dict[Preset, str] = {
    "caption": "Describe this image in one sentence.",
    "alt_text": "Write alt text for this image: one short sentence of at most 125 characters.",
    "detailed": "Describe this image in detail.",
    "keywords": "List ten keywords for this image, separated by commas.",
    "title": "Give this image a title of at most six words.",
}
_TOKENS = {"caption": 60, "alt_text": 60, "detailed": 300, "keywords": 60, "title": 20, "prompt": 300}
_TEMPLATES = ("chat_template.jinja", "chat_template.json")


class Idefics3Adapter:
    """Follows any words.

    Args:
        architecture: One of the two classes.
    """

    def __init__(self, architecture: type[Any]) -> None:
        self.architecture: type[Any] = architecture

    def take_apart(self, checkpoint: Checkpoint, languages: Sequence[str], longest_px: int | None) -> Parts:
        model, processor = checkpoint.model, checkpoint.image_processor
        text, vision = model.config.text_config, model.config.vision_config
        if text.model_type != "llama":
            raise UnusableCheckpoint(
                f"a text model of type {text.model_type!r}; the step graph knows Llama's"
            )
        side = vision.image_size
        if processor.max_image_size.get("longest_edge") != side:
            raise UnusableCheckpoint(
                f"preprocessor_config.json: tiles must be of {side} px, as the network's are"
            )
        if longest_px is not None:
            processor.size = {"longest_edge": longest_px}
        longest_side = processor.size.get("longest_edge")
        if not longest_side:
            raise UnusableCheckpoint("preprocessor_config.json: size has no longest_edge")
        heads, layers = text.num_key_value_heads, text.num_hidden_layers
        head = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
        longest = min(LONGEST_TEXT, text.max_position_embeddings // 2)
        config = ImportedConfig(
            family="idefics3",
            layers=layers,
            heads=heads,
            head_size=head,
            width=text.hidden_size,
            places=text.max_position_embeddings,
            picture=picture_config(processor, size=(side, side), longest_px=longest_side),
            writing=writing_config(model.generation_config, model.generation_config.eos_token_id),
            prompts=_PROMPTS,
            tokens={kind: min(count, longest) for kind, count in _TOKENS.items()},
            template=_template(checkpoint),
            picture_token=model.config.image_token_id,
            picture_tokens=_tile_tokens(checkpoint),
        )
        abilities = Abilities(
            languages=tuple(languages),
            presets=tuple(_PROMPTS),
            prompt=True,
            max_tokens=longest,
            max_beams=8,
        )
        seen = config.picture_tokens
        names, prefix = cross_inputs(layers, 2, heads, 9, head)
        tokens = torch.full((2, seen + 3), model.config.image_token_id)
        tokens[:, seen:] = 0
        encode = Graph(
            Idefics3Encode(model), (torch.rand(3, 3, side, side),), ("tiles",), ("seen",), ({0: "n"},)
        )
        step = Graph(
            Idefics3Step(model),
            (
                tokens,
                torch.rand(2, seen, text.hidden_size),
                torch.rand(2, 2, layers, heads, 5, head),
                *prefix,
            ),
            ("tokens", "seen", "text", *names),
            ("logits", "longer"),
            ({0: "b", 1: "k"}, {0: "b", 1: "s"}, {0: "b", 4: "t"}, *[{0: "b", 2: "p"}] * len(names)),
        )
        return Parts(config, abilities, {"encode": encode, "step": step})

    def tokens_of_torch(
        self, checkpoint: Checkpoint, asked: Sequence[Asked], most: int, beams: int = 1
    ) -> list[list[int]]:
        """Prompts and pictures of several lengths are padded: on the left, and with empty tiles."""
        processor = Idefics3Processor(
            checkpoint.image_processor, checkpoint.tokenizer, image_seq_len=_tile_tokens(checkpoint)
        )
        template = _template(checkpoint)
        inputs = processor(
            images=[[Image.fromarray(picture)] for picture, _ in asked],
            text=[template.replace(PROMPT, prompt) for _, prompt in asked],
            padding=True,
            padding_side="left",
            return_tensors="pt",
        )
        inputs.pop("token_type_ids", None)
        with torch.no_grad():
            found = checkpoint.model.generate(
                **inputs, max_new_tokens=most, do_sample=False, num_beams=beams, early_stopping=beams > 1
            )
        ends = checkpoint.model.generation_config.eos_token_id
        return without_ends(
            found[:, inputs["input_ids"].shape[1] :], ends if isinstance(ends, list) else [ends]
        )

    def numbers_of_torch(self, checkpoint: Checkpoint, pixels: Pixels) -> Tensor:
        found: Tensor = checkpoint.image_processor(
            [[Image.fromarray(pixels)]], return_tensors="pt"
        ).pixel_values
        return found[0]


IDEFICS3 = Idefics3Adapter(Idefics3ForConditionalGeneration)
SMOLVLM = Idefics3Adapter(SmolVLMForConditionalGeneration)


def _tile_tokens(checkpoint: Checkpoint) -> int:
    config = checkpoint.model.config
    return int(
        (config.vision_config.image_size // config.vision_config.patch_size) ** 2 / config.scale_factor**2
    )


def _template(checkpoint: Checkpoint) -> str:
    """The chat template with the picture's mark, and a gap for the user's words."""
    source = checkpoint.tokenizer.chat_template or _template_file(checkpoint)
    content = [{"type": "image"}, {"type": "text", "text": PROMPT}]
    try:
        text = checkpoint.tokenizer.apply_chat_template(
            [{"role": "user", "content": content}],
            chat_template=source,
            tokenize=False,
            add_generation_prompt=True,
        )
    except Exception as error:  # whatever a template of somebody else's raises, in the library's sandbox
        raise UnusableCheckpoint(f"the chat template cannot be used: {error}") from error
    if text.count(IMAGE) != 1 or text.count(PROMPT) != 1 or text.index(IMAGE) > text.index(PROMPT):
        raise UnusableCheckpoint("the chat template has no place for one picture and one prompt after it")
    return str(text)


def _template_file(checkpoint: Checkpoint) -> str:
    plain, in_json = (checkpoint.folder / name for name in _TEMPLATES)
    if plain.is_file():
        return plain.read_text(encoding="utf-8")
    source = read_json(in_json).get("chat_template")
    if not isinstance(source, str):
        raise UnusableCheckpoint(f"{in_json.name} has no chat template")
    return source
