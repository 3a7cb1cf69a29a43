"""The codec comparison's arithmetic: which qualities, which means, which differences."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.benchmarks.codec.curves import Curve, Point, compared, curve_of
from tests.benchmarks.codec.ours import choose_qualities, wanted_bpp
from tests.benchmarks.codec.speed import mosaic


def test_qualities_hit_the_wanted_rates() -> None:
    """The nearest quality for each of six rates from 0.15 to 1.5, found in few looks."""
    asked: list[int] = []

    def mean_bpp(quality: int) -> float:
        asked.append(quality)
        return 0.1 * 1.03**quality

    chosen = choose_qualities(mean_bpp)
    rates = [0.1 * 1.03**quality for quality in chosen]
    assert rates == pytest.approx(wanted_bpp(), rel=0.016)
    assert wanted_bpp()[0] == pytest.approx(0.15)
    assert wanted_bpp()[-1] == pytest.approx(1.5)
    assert len(asked) == len(set(asked)) < 50


def test_qualities_of_a_codec_with_a_small_range() -> None:
    """What cannot be reached is left at the end of the range, once."""
    assert choose_qualities(lambda quality: 0.4 + 0.002 * quality) == [1, 99, 100]


def results(level: int, sizes: list[int], psnrs: list[float | None]) -> list[dict[str, Any]]:
    """As the decoding process prints them: pictures of 1,000 and 4,000 pixels."""
    return [
        {
            "level": level,
            "pixels": pixels,
            "size_bytes": size,
            "psnr_db": psnr,
            "ms_ssim": 0.9,
            "cpu_s": 0.001,
        }
        for pixels, size, psnr in zip((1000, 4000), sizes, psnrs, strict=True)
    ]


def measured(decoded: list[dict[str, Any]]) -> dict[str, Any]:
    part = {"version": "1", "peak_bytes": 7, "results": decoded}
    return {"encode": part, "decode": part}


def test_means_count_pictures_not_pixels() -> None:
    """Mean of each picture's bits a pixel and PSNR; speeds over all pixels."""
    (point,) = curve_of("jpeg", measured(results(5, [125, 250], [30.0, 40.0]))).points
    assert point.bpp == pytest.approx((1.0 + 0.5) / 2)
    assert point.psnr_db == 35
    assert point.ms_ssim_db == pytest.approx(10)
    assert point.decode_mp_per_cpu_s == pytest.approx(0.005 / 0.002)


def test_a_lossless_picture_is_refused() -> None:
    """An infinite PSNR has no mean."""
    with pytest.raises(ValueError, match="lossless"):
        curve_of("jpeg", measured(results(5, [125, 250], [None, 40.0])))


def curve(codec: str, factor: float, ms_ssim: float | None = 0.9) -> Curve:
    points = [
        Point(level, factor * 2.0**level, 30.0 + level, ms_ssim and ms_ssim + level / 100, 1.0, 1.0)
        for level in range(4)
    ]
    return Curve(codec, "", tuple(points), {})


def test_differences() -> None:
    """Half of the bits is -50 %, by either measure; without MS-SSIM there is none."""
    for measure in ("psnr_db", "ms_ssim_db"):
        found = compared(curve("tri", 0.5), curve("webp", 1.0), measure)
        assert found is not None
        assert found.percent == pytest.approx(-50)
    assert compared(curve("tri", 0.5, None), curve("webp", 1.0), "ms_ssim_db") is None


def test_mosaic_covers_everything(tmp_path: Path) -> None:
    """Pictures of two sizes side by side, cut at the edges."""
    for number, size in enumerate([(30, 20), (25, 40)]):
        Image.new("RGB", size, (number + 1, 0, 0)).save(tmp_path / f"{number}.png")
    made = mosaic(sorted(tmp_path.iterdir()), 70, 100)
    assert made.shape == (70, 100, 3)
    assert set(np.unique(made[..., 0])) == {1, 2}
