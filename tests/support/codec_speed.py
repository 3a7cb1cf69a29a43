"""How fast the codec is, and how much memory it takes: `python -m tests.support.codec_speed [WIDTH HEIGHT]`.

One thread, CPU seconds (other jobs of the machine count less than in wall time), best of several runs,
entropy coder included. Peak memory is that of the process, the picture it makes included.
"""

from __future__ import annotations

import resource
import sys
import time
from dataclasses import dataclass

import numpy as np

from pipeline.codec.container import parse
from tests.support.codec import codec, landscape

SIZES = ((768, 512), (1920, 1080), (3840, 2160))
QUALITY = 50


@dataclass(frozen=True)
class Speed:
    """Megapixels a CPU second, bits a pixel, and the process's peak memory so far."""

    encode: float
    decode: float
    bpp: float
    peak_mb: float


def measured(width_px: int, height_px: int, runs: int = 5) -> Speed:
    """Encodes and decodes a picture of that size, made of one piece repeated, `runs` times."""
    piece = landscape(512, 768)
    pixels = np.empty((height_px, width_px, 3), np.uint8)
    for top in range(0, height_px, 512):
        for left in range(0, width_px, 768):
            part = pixels[top : top + 512, left : left + 768]
            part[:] = piece[: part.shape[0], : part.shape[1]]
    codec().decode(codec().encode(piece, QUALITY))
    encoding, decoding, data = [], [], b""
    for _ in range(runs):
        started = time.process_time()
        data = codec().encode(pixels, QUALITY).to_bytes()
        encoded = time.process_time()
        codec().decode(parse(data))
        encoding.append(encoded - started)
        decoding.append(time.process_time() - encoded)
    megapixels = width_px * height_px / 1e6
    return Speed(
        megapixels / min(encoding),
        megapixels / min(decoding),
        8 * len(data) / (width_px * height_px),
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    )


if __name__ == "__main__":
    given = [int(text) for text in sys.argv[1:]]
    for size in [(given[0], given[1])] if given else SIZES:
        speed = measured(*size, runs=1 if given else 5)
        print(
            f"{size[0]}x{size[1]}: encode {speed.encode:.2f}, decode {speed.decode:.2f} MP per CPU second"
            f" at {speed.bpp:.2f} bpp; peak {speed.peak_mb:.0f} MB"
        )
