"""Sounds to learn from: clips with a class each, what is said of a class, cached features of several views.

Clips are split by fold (ESC-10, UrbanSound8K) and by speaker (spoken digits), never by clip: the dev parts
are ESC-10's fold 4, UrbanSound8K's fold 3 and one speaker. Clips of UrbanSound8K that were cut from a
recording of ESC-10's dev fold are left out altogether.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray
from torch import nn

from pipeline.inference.log_mel import BANDS, PATCH_FRAMES, SAMPLE_RATE_HZ, log_mel_patches
from pipeline.models.description.yamnet import YamNet
from pipeline.training.fast_encoder import fast_encoder
from pipeline.training.image_features import digest_of_files

Floats = NDArray[np.float32]

DEV_ESC_FOLD, DEV_URBAN_FOLD, DEV_SPEAKER = "4", "fold3", "yweweler"
_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_CHINESE_DIGITS = "零一二三四五六七八九"
_ESC = {
    "Dog bark": "dog bark",
    "Rain": "rain",
    "Sea waves": "sea waves",
    "Baby cry": "baby crying",
    "Clock tick": "clock ticking",
    "Person sneeze": "sneeze",
    "Helicopter": "helicopter",
    "Chainsaw": "chainsaw",
    "Rooster": "rooster",
    "Fire crackling": "crackling fire",
}
_URBAN = (
    "air conditioner",
    "car horn",
    "children playing",
    "dog bark",
    "drilling",
    "idling engine",
    "gun shot",
    "jackhammer",
    "siren",
    "street music",
)
ESC_LABELS = tuple(_ESC.values())
# What is said of each class: English sentences, a Chinese label, a Chinese sentence.
_SENTENCES: dict[str, tuple[tuple[str, ...], str, str]] = {
    "dog bark": (("a dog barks", "a dog is barking"), "狗叫", "一只狗在叫"),
    "rain": (("rain falls", "rain is falling on the ground"), "雨声", "下雨的声音"),
    "sea waves": (("waves roll onto the shore", "waves crash on a beach"), "海浪", "海浪拍打岸边的声音"),
    "baby crying": (("a baby cries", "a baby is crying"), "婴儿哭", "一个婴儿在哭"),
    "clock ticking": (("a clock ticks", "a clock is ticking"), "钟表滴答", "钟表滴答作响"),
    "sneeze": (("a person sneezes", "someone sneezes"), "打喷嚏", "有人在打喷嚏"),
    "helicopter": (("a helicopter flies", "a helicopter is flying overhead"), "直升机", "直升机飞过的声音"),
    "chainsaw": (("a chainsaw is running", "a chainsaw cuts wood"), "电锯", "电锯锯木头的声音"),
    "rooster": (("a rooster crows", "a rooster is crowing"), "公鸡叫", "一只公鸡在打鸣"),
    "crackling fire": (("a fire crackles", "a fire is crackling"), "火焰噼啪", "火焰噼啪作响"),
    "air conditioner": (
        ("an air conditioner hums", "an air conditioner is running"),
        "空调",
        "空调运转的声音",
    ),
    "car horn": (("a car horn honks", "a car honks its horn"), "汽车喇叭", "汽车在按喇叭"),
    "children playing": (("children are playing", "children play and shout"), "孩子玩耍", "孩子们在玩耍"),
    "drilling": (("a drill is running", "someone is drilling"), "钻孔", "电钻钻孔的声音"),
    "idling engine": (("an engine idles", "an engine is idling"), "发动机怠速", "发动机怠速的声音"),
    "gun shot": (("a gun is fired", "gunshots ring out"), "枪声", "枪响的声音"),
    "jackhammer": (("a jackhammer pounds", "a jackhammer breaks the ground"), "风镐", "风镐施工的声音"),
    "siren": (("a siren wails", "an emergency siren is wailing"), "警报声", "警报器在响"),
    "street music": (
        ("music plays in the street", "someone plays music outside"),
        "街头音乐",
        "街头有人在演奏音乐",
    ),
}
_DIGIT_SENTENCES: dict[str, tuple[tuple[str, ...], str, str]] = {
    f"digit {name}": (
        (f"a person says {name}", f"someone says the digit {name}"),
        f"数字{chinese}",
        f"有人说数字{chinese}",
    )
    for name, chinese in zip(_DIGITS, _CHINESE_DIGITS, strict=True)
}
SENTENCES = _SENTENCES | _DIGIT_SENTENCES


@dataclass(frozen=True)
class Clip:
    """A sound file, its class, and whether it is kept out of training."""

    path: Path
    label: str
    dev: bool


@dataclass(frozen=True)
class ClipFeatures:
    """What the audio encoder makes of one view of a clip: (P, 1024) and class logits (P, 521), float16."""

    features: NDArray[np.float16]
    logits: NDArray[np.float16]


def find_clips(folder: Path) -> list[Clip]:
    """All clips of esc10, urbansound8k and spoken_digits under a folder, in a fixed order."""
    esc = [
        Clip(path, _ESC[path.parent.name.split(" - ")[1]], path.name.startswith(f"{DEV_ESC_FOLD}-"))
        for path in sorted((folder / "esc10").glob("*/*.ogg"))
    ]
    recordings = {clip.path.name.split("-")[1] for clip in esc if clip.dev}
    urban = [
        Clip(path, _URBAN[int(path.name.split("-")[1])], path.parent.name == DEV_URBAN_FOLD)
        for path in sorted((folder / "urbansound8k").glob("*/*.ogg"))
        if path.name.split("-")[0] not in recordings
    ]
    digits = [
        Clip(path, f"digit {_DIGITS[int(path.name[0])]}", path.name.split("_")[1] == DEV_SPEAKER)
        for path in sorted((folder / "spoken_digits").glob("*.ogg"))
    ]
    return esc + urban + digits


def read_samples(path: Path) -> Floats:
    """Mono samples at 16 kHz, (N,), around [-1, 1]; another rate is changed by its spectrum."""
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    mono: Floats = samples.mean(axis=1)
    if rate == SAMPLE_RATE_HZ:
        return mono
    count = round(len(mono) * SAMPLE_RATE_HZ / rate)
    resampled: Floats = (np.fft.irfft(np.fft.rfft(mono), count) * count / len(mono)).astype(np.float32)
    return resampled


def cached_sounds(
    clips: Sequence[Clip], views: int, encoder: YamNet, cache: Path
) -> list[list[ClipFeatures]]:
    """Features by clip and view, from the cache or computed now. View 0 is the clip as it is.

    Args:
        clips: The cache goes by their names and order.
        views: How many of each; the others are louder or softer, shifted in time, at another speed, with
        noise.
        encoder: Frozen.
        cache: Folder.
    """
    cache.mkdir(parents=True, exist_ok=True)
    name = f"sounds-{digest_of_files([clip.path for clip in clips])}"
    by_view = [_view(clips, view, encoder, cache / f"{name}-view{view}.npz") for view in range(views)]
    return [list(found) for found in zip(*by_view, strict=True)]


def _view(clips: Sequence[Clip], view: int, encoder: YamNet, file: Path) -> list[ClipFeatures]:
    if not file.exists():
        print(f"encoding view {view} of {len(clips)} sounds into {file}")
        run = fast_encoder(encoder, torch.zeros(2, PATCH_FRAMES, BANDS))
        random = np.random.default_rng(view)
        features, logits, counts = [], [], []
        for clip in clips:
            samples = read_samples(clip.path)
            found, scores = run(log_mel_patches(_changed(samples, random) if view else samples))
            features.append(found.astype(np.float16))
            logits.append(scores.astype(np.float16))
            counts.append(len(found))
        part = file.with_suffix(".part.npz")
        np.savez(part, features=np.concatenate(features), logits=np.concatenate(logits), counts=counts)
        os.replace(part, file)
    with np.load(file) as saved:
        ends = np.cumsum(saved["counts"])[:-1]
        pairs = zip(np.split(saved["features"], ends), np.split(saved["logits"], ends), strict=True)
        return [ClipFeatures(found, scores) for found, scores in pairs]


def _changed(samples: Floats, random: np.random.Generator) -> Floats:
    speed = random.uniform(0.93, 1.07)
    places = np.arange(0, len(samples) - 1, speed)
    samples = np.interp(places, np.arange(len(samples)), samples).astype(np.float32)
    samples = np.roll(samples, random.integers(len(samples)))
    noise = random.normal(0, 1, len(samples)) * 10 ** random.uniform(-4.5, -2.2)
    changed: Floats = (samples * 10 ** random.uniform(-0.6, 0.3) + noise).clip(-1, 1).astype(np.float32)
    return changed


def stacked(clips: Sequence[ClipFeatures]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A batch: features (B, P, 1024), logits (B, P, 521), padded; bool (B, P), True where there is one."""
    features, logits = (
        nn.utils.rnn.pad_sequence(
            [torch.from_numpy(getattr(clip, name)).float() for clip in clips], batch_first=True
        )
        for name in ("features", "logits")
    )
    counts = torch.tensor([len(clip.features) for clip in clips])
    return features, logits, torch.arange(features.shape[1]) < counts[:, None]
