"""Pairs of a photograph and a painting that no training has seen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.training.paintings import load_paintings
from pipeline.training.photos import load_photos
from pipeline.training.scaled_crops import squared

LEAST_PAINTING_PX = 144


@dataclass(frozen=True)
class Pair:
    """uint8 (1, side, side, 3) each, by side."""

    content: dict[int, np.ndarray]
    style: dict[int, np.ndarray]


def pairs(photos: Path, paintings: Sequence[Path], count: int, sides_px: Sequence[int]) -> Iterator[Pair]:
    """Photographs in turn, each with a painting drawn from those kept for the benchmark, the same every time.

    Args:
        photos: A folder of photographs, none of them trained on.
        paintings: Folders of which group 0 is kept apart by every training.
        count: Of pairs. Fewer are the first of more.
        sides_px: The squares to make of each picture.
    """
    contents = load_photos([photos])
    styles = load_paintings(paintings, [0], least_side_px=LEAST_PAINTING_PX)
    random = np.random.default_rng(2026)
    order = random.permutation(len(contents))
    chosen = random.integers(len(styles), size=10_000)
    for i in range(count):
        content, style = contents[order[i % len(order)]], styles[chosen[i]]
        yield Pair(_squares(content, sides_px), _squares(style, sides_px))


def _squares(picture: np.ndarray, sides_px: Sequence[int]) -> dict[int, np.ndarray]:
    return {
        side: squared(picture, side).permute(0, 2, 3, 1).mul(255).round().byte().numpy() for side in sides_px
    }
