"""Checkpoint folders of tiny describing models with random weights, as their publishers lay them out."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from torch import nn
from transformers import (
    BlipConfig,
    BlipForConditionalGeneration,
    Florence2Config,
    Florence2ForConditionalGeneration,
    GenerationConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    SmolVLMConfig,
    SmolVLMForConditionalGeneration,
)

WORDS = (
    "a dog runs on the beach while two children play with red balls near water",
    "what does the image describe? describe in detail what is shown in the image.",
    "describe with a paragraph what is shown in the image. a picture of a small cat",
    "write keywords for this picture, between commas. User: Assistant: title in five words",
)
CHAT = (
    "<|im_start|>{% for message in messages %}{{message['role'] | capitalize}}"
    "{% if message['content'][0]['type'] == 'image' %}{{':'}}{% else %}{{': '}}{% endif %}"
    "{% for line in message['content'] %}{% if line['type'] == 'text' %}{{line['text']}}"
    "{% elif line['type'] == 'image' %}{{ '<image>' }}{% endif %}{% endfor %}<end_of_utterance>\n{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)


def blip(folder: Path, std: float = 0.12, places: float = 0.5) -> Path:
    """Two layers each, 32 px, a word-piece vocabulary."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[DEC]", "[ENC]"]
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.train_from_iterator(WORDS, trainers.WordPieceTrainer(vocab_size=120, special_tokens=special))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    text = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
    text |= {
        "encoder_hidden_size": 40,
        "vocab_size": tokenizer.get_vocab_size(),
        "max_position_embeddings": 64,
    }
    text |= {"bos_token_id": 5, "sep_token_id": 3, "eos_token_id": 3, "pad_token_id": 0, "projection_dim": 16}
    vision = {"hidden_size": 40, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
    vision |= {"image_size": 32, "patch_size": 8, "projection_dim": 16}
    config = BlipConfig(text_config=text, vision_config=vision, projection_dim=16, image_text_hidden_size=16)
    _save(folder, BlipForConditionalGeneration(config), std, places)
    _save_tokenizer(
        folder, tokenizer, unk_token="[UNK]", sep_token="[SEP]", pad_token="[PAD]", cls_token="[CLS]"
    )
    _json(
        folder / "preprocessor_config.json",
        image_processor_type="BlipImageProcessor",
        size={"height": 32, "width": 32},
        image_mean=[0.48145466, 0.4578275, 0.40821073],
        image_std=[0.26862954, 0.26130258, 0.27577711],
        do_resize=True,
        do_rescale=True,
        do_normalize=True,
        do_convert_rgb=True,
        resample=3,
        rescale_factor=1 / 255,
    )
    (folder / "README.md").write_text("---\nlicense: bsd-3-clause\ndatasets:\n- coco\n---\n# A model\n")
    return folder


def florence2(folder: Path, std: float = 0.12, places: float = 0.5) -> Path:
    """Four stages of DaViT, 64 px, two layers of BART each."""
    tokenizer = _bytes(["<s>", "<pad>", "</s>", "<unk>", "<mask>", "<image>"])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    size = tokenizer.get_vocab_size()
    text = {"model_type": "bart", "d_model": 32, "vocab_size": size, "max_position_embeddings": 128}
    text |= {"encoder_layers": 2, "decoder_layers": 2, "encoder_ffn_dim": 48, "decoder_ffn_dim": 48}
    text |= {"encoder_attention_heads": 4, "decoder_attention_heads": 4}
    vision = {"embed_dim": (8, 16, 24, 32), "num_heads": (1, 2, 3, 4), "num_groups": (1, 2, 3, 4)}
    vision |= {"depths": (1, 1, 1, 1), "projection_dim": 32, "window_size": 4}
    config = Florence2Config(text_config=text, vision_config=vision, image_token_id=5)
    model = Florence2ForConditionalGeneration(config)
    model.generation_config = GenerationConfig(
        bos_token_id=0,
        eos_token_id=2,
        pad_token_id=1,
        decoder_start_token_id=2,
        forced_bos_token_id=0,
        forced_eos_token_id=2,
        no_repeat_ngram_size=3,
        num_beams=3,
        early_stopping=True,
    )
    _save(folder, model, std, places)
    names = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
    _save_tokenizer(folder, tokenizer, **names, extra_special_tokens={"image_token": "<image>"})
    _json(
        folder / "preprocessor_config.json",
        image_processor_type="CLIPImageProcessor",
        size={"height": 64, "width": 64},
        crop_size={"height": 64, "width": 64},
        do_center_crop=False,
        do_resize=True,
        do_rescale=True,
        do_normalize=True,
        image_mean=[0.485, 0.456, 0.406],
        image_std=[0.229, 0.224, 0.225],
        image_seq_length=5,
        resample=3,
        rescale_factor=1 / 255,
    )
    (folder / "LICENSE").write_text("MIT License\n\nCopyright (c) Nobody\n")
    return folder


def smolvlm(folder: Path, std: float = 0.25, places: float = 0.25) -> Path:
    """A 32 px tile, 4 of them and the whole at most, two layers of a Llama with shared keys."""
    special = ["<|im_start|>", "<|im_end|>", "<end_of_utterance>", "<fake_token_around_image>", "<image>"]
    special += ["<global-img>", *(f"<row_{r}_col_{c}>" for r in range(1, 7) for c in range(1, 7))]
    tokenizer = _bytes(special)
    text = {"model_type": "llama", "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
    text |= {"num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": tokenizer.get_vocab_size()}
    text |= {
        "max_position_embeddings": 512,
        "pad_token_id": 1,
        "bos_token_id": 0,
        "eos_token_id": 2,
        "head_dim": 8,
    }
    vision = {"hidden_size": 24, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
    vision |= {"image_size": 32, "patch_size": 8}
    tokens = {"image_token_id": 4, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}
    config = SmolVLMConfig(text_config=text, vision_config=vision, scale_factor=2, **tokens)
    model = SmolVLMForConditionalGeneration(config)
    model.generation_config = GenerationConfig(bos_token_id=0, eos_token_id=[2, 1], pad_token_id=1)
    _save(folder, model, std, places)
    names = {"bos_token": "<|im_start|>", "eos_token": "<end_of_utterance>", "pad_token": "<|im_end|>"}
    _save_tokenizer(folder, tokenizer, **names)
    _json(folder / "chat_template.json", chat_template=CHAT)
    _json(
        folder / "preprocessor_config.json",
        image_processor_type="SmolVLMImageProcessor",
        size={"longest_edge": 64},
        max_image_size={"longest_edge": 32},
        do_image_splitting=True,
        do_resize=True,
        do_rescale=True,
        do_normalize=True,
        do_pad=True,
        do_convert_rgb=True,
        image_mean=[0.5, 0.5, 0.5],
        image_std=[0.5, 0.5, 0.5],
        resample=1,
        rescale_factor=1 / 255,
    )
    _json(folder / "processor_config.json", image_seq_len=4, processor_class="SmolVLMProcessor")
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    return folder


def _bytes(special: list[str]) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=420, special_tokens=special, initial_alphabet=alphabet)
    tokenizer.train_from_iterator(WORDS * 3, trainer)
    return tokenizer


def _save(folder: Path, model: PreTrainedModel, std: float, places: float) -> None:
    """Draws every weight anew, wide enough that texts are not one word again and again."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for name, value in model.named_parameters():
            if "position" in name:  # what makes one place's word another's
                nn.init.normal_(value, std=places, generator=generator)
            elif value.ndim > 1:
                nn.init.normal_(value, std=std, generator=generator)
            elif "bias" in name:
                nn.init.normal_(value, std=std / 4, generator=generator)
    model.save_pretrained(folder)


def _save_tokenizer(folder: Path, tokenizer: Tokenizer, **names: object) -> None:
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(folder)


def _json(path: Path, **values: object) -> None:
    path.write_text(json.dumps(values, indent=2))
