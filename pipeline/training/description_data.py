"""All that the describing model learns from, ready to be drawn: features, tokens, targets of the tags."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor

from pipeline.models.description.efficientnet import GRID, EfficientNetLite1
from pipeline.models.description.shape import CAPTION, EN, SOUND, ZH
from pipeline.training.captions import (
    Captions,
    caption_words,
    chinese_tags,
    photo_captions,
    text_alone,
    train_tokenizer,
    words_of,
)
from pipeline.training.class_names import ClassesInTexts, Told, cells_and_classes, with_article
from pipeline.training.image_features import cached_canvases, cached_views
from pipeline.training.packing import text_tokens
from pipeline.training.pretrained import load_image_encoder
from pipeline.training.sounds import SENTENCES, Clip, ClipFeatures, cached_sounds, find_clips
from pipeline.training.tflite_weights import class_labels, load_yamnet

TABLES = ("tokenizer.json", "names.json")  # lie beside every checkpoint
VOCABULARY = 4096
_CANVASES = 2_000  # photographs that are also shown on a part of a grey canvas
_PHOTOS_A_TAG = 240  # one photograph in so many has a word that becomes a tag
_MOST_ENGLISH, _MOST_CHINESE = 400, 200
_TEXTS_FOR_TOKENIZER = 60_000
_MOST_TOKENS = 60
_NAMED_VIEWS = 3
_SURE = 0.5  # least probability of a class that a photograph is named by
_PHOTOS_A_CLASS = 2_000  # one captioned photograph in so many may have a class by which others are named


@dataclass(frozen=True)
class Names:
    """Tags in the order of the tag head, and the image encoder's classes.

    Attributes:
        english, chinese: Tags of photographs.
        sounds: Labels of sounds, tags as well.
        imagenet: The first name of each class.
    """

    english: tuple[str, ...]
    chinese: tuple[str, ...]
    sounds: tuple[str, ...]
    imagenet: tuple[str, ...]

    def __len__(self) -> int:
        """Tags."""
        return len(self.english) + len(self.chinese) + len(self.sounds)

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(vars(self), ensure_ascii=False, indent=0) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Names:
        """Reads a checkpoint's names, or an artifact's: those have the encoders' classes beside them."""
        found = json.loads(path.read_text(encoding="utf-8"))
        return cls(**{field.name: tuple(found[field.name]) for field in fields(cls)})


@dataclass(frozen=True)
class Photos:
    """Photographs: cached features by view, captions as tokens by language, targets of the photo tags."""

    names: tuple[str, ...]
    views: Sequence[NDArray[np.float16]]
    english: list[list[list[int]]]
    chinese: list[list[list[int]]]
    references: tuple[list[list[str]], list[list[str]]]
    tags: Tensor

    def features(self, chosen: Sequence[int], views: Sequence[int]) -> Tensor:
        """Features of the chosen ones in the chosen views, (B, 320, 8, 8), float32."""
        return as_grid(np.stack([self.views[view][i] for i, view in zip(chosen, views, strict=True)]))


@dataclass(frozen=True)
class Named:
    """Photographs without captions whose class the encoder is sure of, and no captioned one shows.

    Attributes:
        views: Cached features by view, (N, 64, 320).
        texts: What is said of each: the class's name.
    """

    views: Sequence[NDArray[np.float16]]
    texts: list[list[int]]


@dataclass(frozen=True)
class Data:
    """Everything, split."""

    tokenizer: Tokenizer
    names: Names
    encoder: EfficientNetLite1
    photos: Photos
    dev: Photos
    canvases: tuple[NDArray[np.float16], NDArray[np.bool_]]
    clips: list[Clip]
    sounds: list[list[ClipFeatures]]
    said: dict[str, dict[int, tuple[list[int], list[list[int]]]]]
    texts: list[list[int]]
    told: list[Told]
    named: Named
    class_names: list[list[int]]


def load_data(folder: Path, cache: Path, tables: Path, *, views: int, sound_views: int) -> Data:
    """Reads all.

    Args:
        folder: Holds captions (flickr8k, and what else there is of text), audio and weights; photos without
            captions in photos/imagenet_sample, if there are any.
        cache: Where encoded features are kept.
        tables: Where `tokenizer.json` and `names.json` lie, or are written to.
        views: Of each photograph.
        sound_views: Of each sound.
    """
    flickr = folder / "captions" / "flickr8k"
    english, chinese = photo_captions(flickr)
    train, dev = ((flickr / "splits" / f"{part}.txt").read_text().split() for part in ("train", "dev"))
    alone = text_alone(folder / "captions")
    known = tuple({name: texts[name] for name in train} for texts in (english, chinese))
    tokenizer, names = _tables(tables, folder, known, alone)
    encoder = load_image_encoder()
    clips = find_clips(folder / "audio")
    yamnet = load_yamnet(folder / "weights" / "yamnet_quant" / "yamnet_classification_quant.tflite")

    def photos(chosen: list[str], count: int, part: str) -> Photos:
        paths = [flickr / "images" / name for name in chosen]
        references = [english[name] for name in chosen], [chinese[name] for name in chosen]
        return Photos(
            tuple(chosen),
            cached_views(paths, count, encoder, cache, part),
            [_all_tokens(tokenizer, texts) for texts in references[0]],
            [_all_tokens(tokenizer, texts) for texts in references[1]],
            references,
            torch.stack([_tag_targets(names, *pair) for pair in zip(*references, strict=True)]),
        )

    captioned = photos(train, views, "train")
    class_names = _all_tokens(tokenizer, [*map(with_article, names.imagenet)])
    uncaptioned = sorted((folder / "photos" / "imagenet_sample").glob("*.*"))
    return Data(
        tokenizer,
        names,
        encoder,
        captioned,
        photos(dev, 1, "dev"),
        cached_canvases([flickr / "images" / name for name in train[:_CANVASES]], encoder, cache),
        clips,
        cached_sounds(clips, sound_views, yamnet, cache),
        _what_is_said(tokenizer),
        _texts(tokenizer, alone),
        ClassesInTexts(class_labels(folder / "weights")).told(alone[0], _all_tokens(tokenizer, alone[0])),
        name_photos(
            cached_views(uncaptioned, min(views, _NAMED_VIEWS), encoder, cache, "named"),
            captioned.views[0],
            encoder,
            class_names,
        ),
        class_names,
    )


def name_photos(
    views: Sequence[NDArray[np.float16]],
    captioned: NDArray[np.float16],
    encoder: EfficientNetLite1,
    said: Sequence[list[int]],
) -> Named:
    """Chooses among photographs without captions.

    Args:
        views: Their features, (N, 64, 320) each; the first is the photograph as it is.
        captioned: Features of those with captions, which say more than a name.
        encoder: The frozen one.
        said: Tokens of each class's name.
    """
    scores = _probabilities(encoder, views[0])
    shown = torch.bincount(_probabilities(encoder, captioned).argmax(dim=1), minlength=scores.shape[1])
    best, classes = scores.max(dim=1)
    chosen = torch.nonzero((best >= _SURE) & (shown[classes] <= len(captioned) // _PHOTOS_A_CLASS)).flatten()
    return Named([view[chosen.numpy()] for view in views], [said[i] for i in classes[chosen].tolist()])


@torch.no_grad()
def _probabilities(encoder: EfficientNetLite1, features: NDArray[np.float16]) -> Tensor:
    """Of each class, (N, classes)."""
    parts = np.array_split(np.arange(len(features)), max(1, len(features) // 200))
    found = [cells_and_classes(encoder, as_grid(features[part]))[1] for part in parts if len(part)]
    return torch.cat([torch.zeros(0, encoder.classifier.out_features), *found])


def as_grid(features: NDArray[np.float16]) -> Tensor:
    """Cached features (N, 64, 320) as the encoder had them: float32 (N, 320, 8, 8)."""
    cells = torch.from_numpy(features.astype(np.float32)).transpose(1, 2)
    return cells.reshape(len(features), -1, GRID, GRID)


def _tables(
    folder: Path, data: Path, known: tuple[Captions, ...], alone: tuple[list[str], ...]
) -> tuple[Tokenizer, Names]:
    tokenizer_file, names_file = folder / "tokenizer.json", folder / "names.json"
    if not tokenizer_file.exists():
        spoken = [text for sentences, *chinese in SENTENCES.values() for text in (*sentences, *chinese)]
        texts = [text for captions in known for every in captions.values() for text in every]
        rest = [text for part in alone for text in part]
        step = max(1, len(rest) // _TEXTS_FOR_TOKENIZER)
        tokenizer = train_tokenizer([*texts, *spoken * 20, *rest[::step]], VOCABULARY)
        tokenizer.save(str(tokenizer_file))
    if not names_file.exists():
        tags = data / "captions" / "extra" / "coco_cn_tags655_zh.txt"
        least = max(2, len(known[0]) // _PHOTOS_A_TAG)
        Names(
            tuple(caption_words(known[0], _MOST_ENGLISH, least)),
            tuple(chinese_tags(tags, known[1], _MOST_CHINESE, least)),
            tuple(SENTENCES),
            tuple(label.split(",")[0] for label in class_labels(data / "weights")),
        ).save(names_file)
    return Tokenizer.from_file(str(tokenizer_file)), Names.load(names_file)


def _all_tokens(tokenizer: Tokenizer, texts: Sequence[str]) -> list[list[int]]:
    return [encoding.ids[:_MOST_TOKENS] for encoding in tokenizer.encode_batch(list(texts))]


def _tag_targets(names: Names, english: list[str], chinese: list[str]) -> Tensor:
    """1 for a word that two captions have, one half for a word of one."""
    once, twice = words_of(english), words_of(english, 2)
    found = [(word in once) / 2 + (word in twice) / 2 for word in names.english]
    found += [min(1.0, sum(word in text for text in chinese) / 2) for word in names.chinese]
    return torch.tensor(found)


def _what_is_said(tokenizer: Tokenizer) -> dict[str, dict[int, tuple[list[int], list[list[int]]]]]:
    """By class and language: the label's tokens, and those of its sentences."""
    said = {}
    for label, (sentences, chinese_label, chinese_sentence) in SENTENCES.items():
        english = _all_tokens(tokenizer, [label, *sentences])
        chinese = _all_tokens(tokenizer, [chinese_label, chinese_sentence])
        said[label] = {EN: (english[0], english[1:]), ZH: (chinese[0], chinese[1:])}
    return said


def _texts(tokenizer: Tokenizer, alone: tuple[list[str], list[str], list[str]]) -> list[list[int]]:
    """Text alone, with the task that such a text answers."""
    prompts = ((CAPTION, EN), (CAPTION, ZH), (SOUND, EN))
    return [
        text_tokens(task, language, ids)
        for (task, language), texts in zip(prompts, alone, strict=True)
        for ids in _all_tokens(tokenizer, texts)
    ]
