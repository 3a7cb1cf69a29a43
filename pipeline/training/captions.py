"""Sentences to learn from: captions of photographs, and text alone; read, normalised, turned into tokens."""

from __future__ import annotations

import csv
import gzip
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.trainers import BpeTrainer

from pipeline.models.description.shape import SPECIAL_TOKENS

Captions = dict[str, list[str]]  # by photograph
WRITTEN = Path(__file__).with_name("written_captions.tsv")

_NOT_KEPT = re.compile(r"[^a-z0-9' ,-]+")
_LONGEST_TOKEN = 12  # bytes: four Chinese characters
_SPACES = re.compile(r"\s+")
_STOPS = "\u3002\uff0e.\uff0c,\uff01!"  # full stops, commas, exclamation marks of both scripts
_WORD = re.compile(r"[a-z']+")
# Words of captions that say nothing about what is seen.
_STOP_WORDS = """
a an the of in on at to with and is are it its his her their he she they by for from up down out
over off as that this while into near through next there be has have having being who which one
two three some several other another each around behind front top along against under across
between towards toward background them him all very looks looking look side together wearing
holding getting going doing not above beside something someone both during what where about onto
past after before inside outside four
"""
STOP_WORDS = frozenset(_STOP_WORDS.split())


@dataclass(frozen=True)
class WrittenCaptions:
    """A picture and what this project's own captions say of it."""

    path: Path
    english: list[str]
    chinese: list[str]


def written_captions(folder: Path) -> list[WrittenCaptions]:
    """Captions in `written_captions.tsv`, of the pictures that are there.

    Flickr8k shows people and dogs, mostly. These are of ImageNet's classes, of landscapes and buildings, and
    of paintings; a language model wrote them while it looked at each picture.

    Args:
        folder: Holds the pictures in `photos` and `paintings`.
    """
    with WRITTEN.open(encoding="utf-8", newline="") as file:
        rows = [*csv.DictReader(file, delimiter="\t")]
    found = [
        WrittenCaptions(folder / row["picture"], [row["english"], row["english_again"]], [row["chinese"]])
        for row in rows
    ]
    there = [one for one in found if one.path.exists()]
    print(f"{len(there)} of {len(found)} pictures with captions of ours are there")
    return there


def normal_english(text: str) -> str:
    """Lower case, plain punctuation, no full stop at the end."""
    text = _NOT_KEPT.sub(" ", text.lower().replace("\u2019", "'"))
    text = _SPACES.sub(" ", text).replace(" ,", ",").replace(" '", "'")
    return text.strip(" ,-'")


def normal_chinese(text: str) -> str:
    """No spaces, no full stop at the end."""
    return _SPACES.sub("", text).strip(_STOPS)


def photo_captions(folder: Path) -> tuple[Captions, Captions]:
    """English and Chinese captions of Flickr8k's photographs, normalised."""
    found: tuple[Captions, Captions] = (defaultdict(list), defaultdict(list))
    names = (("captions.csv", normal_english), ("captions_zh.csv", normal_chinese))
    for captions, (name, normal) in zip(found, names, strict=True):
        with (folder / name).open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                if text := normal(row["caption"]):
                    captions[row["image"]].append(text)
    return found


def text_alone(folder: Path) -> tuple[list[str], list[str], list[str]]:
    """English captions, Chinese captions, English sentences about sounds, without pictures or sounds.

    Args:
        folder: Holds multi30k, extra and audiocaps-text; what is missing is left out.
    """
    english = [*_lines(folder / "multi30k" / "english_captions.filtered.txt")]
    extra = folder / "extra"
    english += [line.split("\t")[-1] for line in _lines(extra / "coco_captions_val2017.tsv.gz")]
    chinese = [line.split("\t")[-1] for line in _lines(extra / "coco_cn_icap2020_zh.tsv.gz")]
    sounds = []
    for part in ("train", "val"):
        path = folder / "audiocaps-text" / "dataset" / f"{part}.csv"
        if path.exists():
            with path.open(encoding="utf-8", newline="") as file:
                sounds += [row["caption"] for row in csv.DictReader(file)]
    return (
        [*filter(None, map(normal_english, english))],
        [*filter(None, map(normal_chinese, chinese))],
        [*filter(None, map(normal_english, sounds))],
    )


def _lines(path: Path) -> Iterable[str]:
    if not path.exists():
        return
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    yield from data.decode().split("\n")


def train_tokenizer(texts: Iterable[str], vocabulary: int) -> Tokenizer:
    """Byte-level BPE: nothing is unknown, in any language."""
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=True)
    tokenizer.decoder = ByteLevelDecoder()
    tokenizer.train_from_iterator(
        texts,
        BpeTrainer(
            vocab_size=vocabulary,
            special_tokens=list(SPECIAL_TOKENS),
            initial_alphabet=ByteLevel.alphabet(),
            max_token_length=_LONGEST_TOKEN,  # Chinese has no spaces: tokens would become half sentences
            show_progress=False,
        ),
    )
    return tokenizer


def caption_words(captions: Captions, most: int, least_photos: int) -> list[str]:
    """The commonest words that say something, by the number of photographs."""
    counts: Counter[str] = Counter()
    for texts in captions.values():
        counts.update(words_of(texts))
    return [word for word, count in counts.most_common() if count >= least_photos][:most]


def words_of(texts: Iterable[str], least: int = 1) -> set[str]:
    """Words that say something in at least so many of a photograph's captions."""
    counts = Counter(word for text in texts for word in set(_WORD.findall(text)) - STOP_WORDS)
    return {word for word, count in counts.items() if count >= least and len(word) > 2}


def chinese_tags(path: Path, captions: Captions, most: int, least_photos: int) -> list[str]:
    """Tag words of a list that occur in captions, the commonest first."""
    words = [*dict.fromkeys(word for line in _lines(path) if len(word := line.strip()) > 0)]
    counts = {word: sum(any(word in text for text in texts) for texts in captions.values()) for word in words}
    common = sorted((word for word in words if counts[word] >= least_photos), key=lambda w: -counts[w])
    return common[:most]
