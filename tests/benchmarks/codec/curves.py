"""From measured files to curves, and from curves to BD-rates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from pipeline.metrics.bd_rate import BdRate, bd_rate
from tests.benchmarks.codec.codecs import TITLES
from tests.benchmarks.codec.processes import Measured


@dataclass(frozen=True)
class Point:
    """A codec at one level: means over the pictures, each picture counted once.

    Attributes:
        bpp: Bits of the whole file a pixel.
        psnr_db: PSNR of all RGB samples of a picture.
        ms_ssim: None when a picture is too small for it.
        encode_mp_per_cpu_s: Megapixels a CPU second, all pictures together.
        decode_mp_per_cpu_s: The same.
    """

    level: int
    bpp: float
    psnr_db: float
    ms_ssim: float | None
    encode_mp_per_cpu_s: float
    decode_mp_per_cpu_s: float

    @property
    def ms_ssim_db(self) -> float:
        """-10 log10(1 - MS-SSIM): the scale on which BD-rates are computed."""
        return math.nan if self.ms_ssim is None else -10 * math.log10(1 - self.ms_ssim)


@dataclass(frozen=True)
class Curve:
    """A codec at its levels.

    Attributes:
        version: Libraries, options, or our model.
        peak_bytes: The most memory that the encoding and the decoding process had resident.
    """

    codec: str
    version: str
    points: tuple[Point, ...]
    peak_bytes: dict[str, int]

    @property
    def title(self) -> str:
        return TITLES[self.codec]


def curve_of(codec: str, measured: dict[str, Measured]) -> Curve:
    """Means of what the two processes measured.

    Raises:
        ValueError: A picture came back without any error: there is no mean of infinite PSNRs.
    """
    encoded, decoded = measured["encode"]["results"], measured["decode"]["results"]
    levels = sorted({result["level"] for result in decoded})
    points = [point_of(level, *(_at(level, results) for results in (encoded, decoded))) for level in levels]
    peaks = {name: part["peak_bytes"] for name, part in measured.items()}
    return Curve(codec, measured["decode"]["version"], tuple(points), peaks)


def point_of(level: int, encoded: Sequence[Measured], decoded: Sequence[Measured]) -> Point:
    """One level's mean."""
    if any(result["psnr_db"] is None for result in decoded):
        raise ValueError(f"level {level} is lossless on a picture")
    similar = [result["ms_ssim"] for result in decoded]
    megapixels = sum(result["pixels"] for result in decoded) / 1e6
    return Point(
        level=level,
        bpp=fmean(8 * result["size_bytes"] / result["pixels"] for result in decoded),
        psnr_db=fmean(result["psnr_db"] for result in decoded),
        ms_ssim=None if None in similar else fmean(similar),
        encode_mp_per_cpu_s=megapixels / sum(result["cpu_s"] for result in encoded),
        decode_mp_per_cpu_s=megapixels / sum(result["cpu_s"] for result in decoded),
    )


def compared(ours: Curve, anchor: Curve, measure: str) -> BdRate | None:
    """Our BD-rate against an anchor; `measure` is "psnr_db" or "ms_ssim_db". None: it cannot be said."""
    if any(math.isnan(getattr(point, measure)) for point in (*ours.points, *anchor.points)):
        return None
    rates, anchor_rates = ([point.bpp for point in curve.points] for curve in (ours, anchor))
    values, anchor_values = ([getattr(point, measure) for point in c.points] for c in (ours, anchor))
    try:
        return bd_rate(rates, values, anchor_rates, anchor_values)
    except ValueError:
        return None


def _at(level: int, results: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [result for result in results if result["level"] == level]
