"""What is measured on: photographs with captions, sounds with labels, none of which was trained on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.inference.describe_model import squash
from pipeline.training.captions import photo_captions
from pipeline.training.sounds import ESC_LABELS, Clip, find_clips, read_samples


@dataclass(frozen=True)
class DevPhoto:
    path: Path
    pixels: np.ndarray
    captions: dict[str, list[str]]


@dataclass(frozen=True)
class DevSound:
    label: str
    samples: np.ndarray


def dev_photos(data: Path, most: int) -> list[DevPhoto]:
    folder = data / "captions" / "flickr8k"
    english, chinese = photo_captions(folder)
    found = []
    for name in (folder / "splits" / "dev.txt").read_text().split()[:most]:
        with Image.open(folder / "images" / name) as image:
            pixels = squash(image)
        found.append(DevPhoto(folder / "images" / name, pixels, {"en": english[name], "zh": chinese[name]}))
    return found


def dev_sounds(data: Path) -> list[DevSound]:
    return [_read(clip) for clip in _esc(data) if clip.dev]


def training_sounds(data: Path) -> list[DevSound]:
    return [_read(clip) for clip in _esc(data) if not clip.dev]


def _esc(data: Path) -> list[Clip]:
    return [c for c in find_clips(data / "audio") if "esc10" in c.path.parts and c.label in ESC_LABELS]


def _read(clip: Clip) -> DevSound:
    return DevSound(clip.label, read_samples(clip.path))
