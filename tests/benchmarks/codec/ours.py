"""Triptych's codec for the comparison, and the qualities that give the points that are wanted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.codec.container import parse
from pipeline.core.artifact import built_in_directory
from pipeline.inference.artifacts import load_directory
from pipeline.inference.tri_codec import TriCodec

LOWEST_BPP, HIGHEST_BPP, POINTS = 0.15, 1.5, 6
QUALITIES = range(1, 101)


class Ours:
    """The codec of one artifact, on one thread of the CPU."""

    def __init__(self, artifact: Path | None = None) -> None:
        self.codec = TriCodec.from_artifact(load_directory(artifact or built_in_directory("compression")))

    def encode(self, pixels: NDArray[np.uint8], level: int) -> bytes:
        return self.codec.encode(pixels, level).to_bytes()

    def decode(self, data: bytes) -> NDArray[np.uint8]:
        return self.codec.decode(parse(data))

    def version(self) -> str:
        return f"model {self.codec.digest[:16]}"

    def mean_bpp(self, pictures: Sequence[NDArray[np.uint8]]) -> Callable[[int], float]:
        """Mean bits a pixel of whole files as a function of quality; pictures are analysed once."""
        latents = [self.codec.analyse(pixels) for pixels in pictures]
        areas = [pixels.shape[0] * pixels.shape[1] for pixels in pictures]

        def measure(quality: int) -> float:
            sizes = [len(self.codec.code(latent, quality).to_bytes()) for latent in latents]
            return float(np.mean([8 * size / area for size, area in zip(sizes, areas, strict=True)]))

        return measure


def wanted_bpp() -> list[float]:
    """Six rates from 0.15 to 1.5 bits a pixel, in equal steps of the logarithm."""
    return list(np.geomspace(LOWEST_BPP, HIGHEST_BPP, POINTS))


def choose_qualities(mean_bpp: Callable[[int], float]) -> list[int]:
    """For each wanted rate the quality that comes closest, without doubles; fewer when the range is smaller.

    Args:
        mean_bpp: Rises with the quality.
    """
    known: dict[int, float] = {}

    def rate(quality: int) -> float:
        if quality not in known:
            known[quality] = mean_bpp(quality)
        return known[quality]

    chosen = []
    for wanted in wanted_bpp():
        low, high = QUALITIES[0], QUALITIES[-1]
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if rate(middle) <= wanted else (low, middle)
        chosen.append(min((low, high), key=lambda quality: abs(np.log(rate(quality) / wanted))))
    return sorted(set(chosen))
