"""How fast our codec is and how much memory it takes: one thread, processes apart, nothing beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from tests.benchmarks.codec.codecs import OURS
from tests.benchmarks.codec.curves import curve_of
from tests.benchmarks.codec.processes import Task, encode_then_decode
from tests.support.measure import table

QUALITY = 50
PICTURES, REPEATS = 6, 3
LARGE_PX = (2160, 3840)


def speed_report(task: Task) -> str:
    """Megapixels a CPU second and peak memory on some of the pictures, and on one of 4K made of them."""
    few = task.images[:: max(1, len(task.images) // PICTURES)][:PICTURES]
    large = task.folder / "mosaic-4k.png"
    Image.fromarray(mosaic(few, *LARGE_PX)).save(large, compress_level=1)
    sets: dict[str, Sequence[Path]] = {f"{len(few)} of the pictures": few, "3840 x 2160": [large]}
    rows = []
    for name, images in sets.items():
        measured = encode_then_decode(replace(task, images=images, repeats=REPEATS), OURS, [QUALITY])
        (point,) = curve_of(OURS, measured).points
        peaks = [measured[part]["peak_bytes"] / 1e6 for part in ("encode", "decode")]
        rows.append([name, point.bpp, point.encode_mp_per_cpu_s, point.decode_mp_per_cpu_s, *peaks])
    title = f"speed at quality {QUALITY}, one thread, best of {REPEATS}, nothing beside it"
    head = ("", "bpp", "enc MP/CPU-s", "dec MP/CPU-s", "enc peak MB", "dec peak MB")
    return table(title, head, rows) + "\n"


def mosaic(images: Sequence[Path], height_px: int, width_px: int) -> np.ndarray:
    """uint8 (H, W, 3): the pictures side by side, row after row, repeated until all is covered."""
    canvas = np.empty((height_px, width_px, 3), np.uint8)
    pictures = [np.asarray(Image.open(image).convert("RGB")) for image in images]
    top = number = 0
    while top < height_px:
        row_px, left = min(picture.shape[0] for picture in pictures), 0
        while left < width_px:
            part = pictures[number % len(pictures)][:row_px][: height_px - top, : width_px - left]
            canvas[top : top + part.shape[0], left : left + part.shape[1]] = part
            left += part.shape[1]
            number += 1
        top += row_px
    return canvas
