"""From what a user asked for (quality, bytes or PSNR) to a coded file, analysing the picture once.

Only entropy parameters and the coder run for each quality that a search looks at; a search for PSNR decodes
as well. Bytes and decibels rise with quality, nearly along a line (bytes: their logarithm), so a search
interpolates: three to five qualities where halving would look at seven.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.codec.container import Extras, parse
from pipeline.core.errors import TargetUnreachable
from pipeline.inference.tri_codec import TriCodec
from pipeline.metrics.psnr import psnr_db
from pipeline.operations.compress import DEFAULT_QUALITY, CompressParams

MIN_QUALITY, MAX_QUALITY = 1, 100
_PATIENCE = 5  # interpolations, then halving: no curve can make a search long

# What a photograph comes to, for the first look: a line through quality 50 (dB; log2 of bits a pixel).
_DB_AT_50, _DB_A_STEP = 33.5, 0.155
_LOG2_BPP_AT_50, _LOG2_BPP_A_STEP = -0.8, 0.04


@dataclass(frozen=True)
class Coded:
    """A file that meets what was asked for.

    Attributes:
        data: Its bytes.
        quality: The quality that it was coded with.
        decoded: uint8 (H, W, 3), what it decodes to, where that is known already.
        psnr_db: RGB PSNR of that, where it is known; None also when nothing differs.
    """

    data: bytes
    quality: int
    decoded: NDArray[np.uint8] | None = None
    psnr_db: float | None = None


def coded(
    codec: TriCodec, pixels: NDArray[np.uint8], params: CompressParams, *, is_grey: bool, extras: Extras
) -> Coded:
    """Codes a picture as asked.

    Args:
        codec: What codes.
        pixels: uint8 (H, W, 3).
        params: Which of quality, max_bytes and min_psnr_db, and its value.
        is_grey: Code it as grey.
        extras: What stands beside the picture in the file; it counts among the bytes.

    Raises:
        TargetUnreachable: Quality 1 is too large, or quality 100 not close enough.
    """
    if params.max_bytes is None and params.min_psnr_db is None:
        quality = params.quality or DEFAULT_QUALITY
        return Coded(codec.encode(pixels, quality, is_grey=is_grey, extras=extras).to_bytes(), quality)
    latent = codec.analyse(pixels)

    def at(quality: int) -> bytes:
        return codec.code(latent, quality, is_grey=is_grey, extras=extras).to_bytes()

    if params.max_bytes is not None:
        return largest_within(at, params.max_bytes, pixel_count=pixels.shape[0] * pixels.shape[1])
    assert params.min_psnr_db is not None  # noqa: S101 - the first line has seen to it
    return smallest_reaching(at, lambda data: codec.decode(parse(data)), pixels, params.min_psnr_db)


def largest_within(at: Callable[[int], bytes], max_bytes: int, *, pixel_count: int) -> Coded:
    """The file of the highest quality that fits: the next quality has more than `max_bytes`.

    Raises:
        TargetUnreachable: None fits.
    """
    files: dict[int, bytes] = {}

    def log2_bpp(quality: int) -> float:
        files[quality] = at(quality)
        return math.log2(8 * len(files[quality]) / pixel_count)

    target = math.log2(8 * (max_bytes + 0.5) / pixel_count)  # between what fits and what does not
    fits, _ = neighbours(log2_bpp, target, at_50=_LOG2_BPP_AT_50, a_step=_LOG2_BPP_A_STEP)
    if fits < MIN_QUALITY:
        raise TargetUnreachable(
            f"at quality {MIN_QUALITY} the file has {len(files[MIN_QUALITY])} bytes,"
            f" and max_bytes is {max_bytes}"
        )
    return Coded(files[fits], fits)


def smallest_reaching(
    at: Callable[[int], bytes],
    decode: Callable[[bytes], NDArray[np.uint8]],
    pixels: NDArray[np.uint8],
    min_psnr_db: float,
) -> Coded:
    """The file of the lowest quality that is close enough: the quality before it is not.

    Raises:
        TargetUnreachable: None is.
    """
    best: Coded | None = None
    last_db = 0.0

    def decibels(quality: int) -> float:
        nonlocal best, last_db
        data = at(quality)
        decoded = decode(data)
        found = psnr_db(pixels, decoded)
        last_db = math.inf if found is None else found
        if last_db >= min_psnr_db:  # of what is close enough a search looks at ever lower qualities
            best = Coded(data, quality, decoded, found)
        return min(last_db, 120.0)  # a line needs finite numbers

    neighbours(decibels, min_psnr_db, at_50=_DB_AT_50, a_step=_DB_A_STEP)
    if best is None:
        raise TargetUnreachable(
            f"at quality {MAX_QUALITY} PSNR is {last_db:.2f} dB, and min_psnr_db is {min_psnr_db:g}"
        )
    return best


def neighbours(
    value: Callable[[int], float], target: float, *, at_50: float, a_step: float
) -> tuple[int, int]:
    """Two neighbouring qualities, the first with a value below the target, the second not.

    Each quality is asked for once at most, and both that are returned have been.

    Args:
        value: Of a quality; should rise with it. Where it does not, the two are still as promised.
        target: In the unit of `value`.
        at_50: A typical value of quality 50, where the search begins.
        a_step: How much `value` typically rises from one quality to the next.

    Returns:
        (q, q + 1); (0, 1) where quality 1 is not below, (100, 101) where quality 100 is.
    """
    low, high = MIN_QUALITY - 1, MAX_QUALITY + 1
    known: dict[int, float] = {}
    guess = 50 + (target - at_50) / a_step
    while high - low > 1:
        quality = min(max(round(guess), low + 1), high - 1)
        known[quality] = value(quality)
        if known[quality] < target:
            low = quality
        else:
            high = quality
        guess = (low + high) / 2 if len(known) >= _PATIENCE else _estimate(known, low, high, target, a_step)
    return low, high


def _estimate(known: dict[int, float], low: int, high: int, target: float, a_step: float) -> float:
    """Where the values known so far would meet the target."""
    if low in known and high in known:
        rise = known[high] - known[low]
        return low + (high - low) * (target - known[low]) / rise if rise > 0 else (low + high) / 2
    near = low if low in known else high
    if len(known) > 1:  # all on one side: the slope there is better than the typical one
        far = min(known) if near == low else max(known)
        a_step = max((known[near] - known[far]) / (near - far), a_step / 4)
    return near + (target - known[near]) / a_step
