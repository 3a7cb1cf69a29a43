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
    WrittenCaptions,
    caption_words,
    chinese_tags,
    photo_captions,
    text_alone,
    train_tokenizer,
    words_of,
    written_captions,
)
from pipeline.training.class_names import ClassesInTexts, Told, with_article
from pipeline.training.image_features import Trim, cached_canvases, cached_views
from pipeline.training.packing import text_tokens
from pipeline.training.paintings import group_of, without_bars
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
_DEV_GROUP = 1  # of the pictures with captions of ours: see `group_of`


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
    """Pictures: cached features by view, captions as tokens by language, targets of the picture tags."""

    names: tuple[str, ...]
    views: Sequence[NDArray[np.float16]]
    english: list[list[list[int]]]
    chinese: list[list[list[int]]]
    references: tuple[list[list[str]], list[list[str]]]
    tags: Tensor

    def features(self, chosen: Sequence[int], views: Sequence[int]) -> Tensor:
        """Features of the chosen ones in the chosen views, (B, 320, 8, 8), float32."""
        return as_grid(np.stack([self.views[view][i] for i, view in zip(chosen, views, strict=True)]))

    def __add__(self, other: Photos) -> Photos:
        """These, then those, in as many views as both have."""
        pairs = zip(self.references, other.references, strict=True)
        english, chinese = ([*own, *others] for own, others in pairs)
        return Photos(
            self.names + other.names,
            [np.concatenate(pair) for pair in zip(self.views, other.views, strict=False)],
            self.english + other.english,
            self.chinese + other.chinese,
            (english, chinese),
            torch.cat([self.tags, other.tags]),
        )


@dataclass(frozen=True)
class Data:
    """Everything, split.

    Attributes:
        photos: To learn from: Flickr8k's, then the pictures with captions of ours.
        written: The places of the latter in `photos`.
        dev: Flickr8k's.
        written_dev: Pictures with captions of ours, kept apart.
        classes: Finds classes of the image encoder in texts.
        (the others as their types say)
    """

    tokenizer: Tokenizer
    names: Names
    encoder: EfficientNetLite1
    photos: Photos
    written: range
    dev: Photos
    written_dev: Photos
    canvases: tuple[NDArray[np.float16], NDArray[np.bool_]]
    clips: list[Clip]
    sounds: list[list[ClipFeatures]]
    said: dict[str, dict[int, tuple[list[int], list[list[int]]]]]
    texts: list[list[int]]
    told: list[Told]
    classes: ClassesInTexts
    class_names: list[list[int]]


def load_data(folder: Path, cache: Path, tables: Path, *, views: int, sound_views: int) -> Data:
    """Reads all.

    Args:
        folder: Holds captions (flickr8k, and what else there is of text), audio and weights; and those of
            photos and paintings that `written_captions.tsv` names, if any.
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

    def pictures(
        paths: list[Path],
        references: tuple[list[list[str]], list[list[str]]],
        count: int,
        part: str,
        trim: Trim | None = None,
    ) -> Photos:
        return Photos(
            tuple(str(path.relative_to(folder)) for path in paths),
            cached_views(paths, count, encoder, cache, part, trim=trim),
            [_all_tokens(tokenizer, texts) for texts in references[0]],
            [_all_tokens(tokenizer, texts) for texts in references[1]],
            references,
            _all_tag_targets(names, references),
        )

    def photos(chosen: list[str], count: int, part: str) -> Photos:
        references = [english[name] for name in chosen], [chinese[name] for name in chosen]
        return pictures([flickr / "images" / name for name in chosen], references, count, part)

    def written(chosen: list[WrittenCaptions], count: int, part: str) -> Photos:
        references = [one.english for one in chosen], [one.chinese for one in chosen]
        return pictures([one.path for one in chosen], references, count, part, without_bars)

    ours = written_captions(folder)
    kept = [picture for picture in ours if not is_kept_apart(picture.path)]
    apart = [picture for picture in ours if is_kept_apart(picture.path)]
    captioned = photos(train, views, "train")
    classes = ClassesInTexts(class_labels(folder / "weights"))
    return Data(
        tokenizer,
        names,
        encoder,
        captioned + written(kept, views, "written"),
        range(len(train), len(train) + len(kept)),
        photos(dev, 1, "dev"),
        written(apart, 1, "written-dev"),
        cached_canvases([flickr / "images" / name for name in train[:_CANVASES]], encoder, cache),
        clips,
        cached_sounds(clips, sound_views, yamnet, cache),
        _what_is_said(tokenizer),
        _texts(tokenizer, alone),
        classes.told(alone[0], _all_tokens(tokenizer, alone[0])),
        classes,
        _all_tokens(tokenizer, [*map(with_article, names.imagenet)]),
    )


def is_kept_apart(picture: Path) -> bool:
    """Whether a picture with captions of ours is for measuring only."""
    return group_of(picture) == _DEV_GROUP


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


def _all_tag_targets(names: Names, references: tuple[list[list[str]], list[list[str]]]) -> Tensor:
    """Of each picture, (N, tags of pictures)."""
    found = [_tag_targets(names, *pair) for pair in zip(*references, strict=True)]
    return torch.stack(found) if found else torch.zeros(0, len(names.english) + len(names.chinese))


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
