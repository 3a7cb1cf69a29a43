"""Size and PSNR rise with quality: over the mean of a set of pictures always, of each picture nearly always.

TRIPTYCH_TEST_BENCH_IMAGES names a folder of pictures; without it they are made up.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.codec.container import QUALITIES, parse
from pipeline.metrics.psnr import psnr_db
from tests.support.codec import codec, landscape

SIDE_PX = 768  # pictures are cut to this: it is about order, not about size
RISING_OF_EACH = 0.99


@pytest.mark.timeout(3600)
def test_size_and_psnr_rise_with_quality() -> None:
    """Adjacent qualities of 1 to 100: every pair of the means rises, and 99 % of those of each picture."""
    measured = np.array([curves(picture) for picture in pictures()])  # (picture, quality, size or PSNR)
    steps = np.diff(measured, axis=1)
    of_the_mean = np.diff(measured.mean(axis=0), axis=0)
    rising = (steps > 0).mean(axis=(0, 1))
    print(f"{len(measured)} pictures; adjacent pairs that rise: size {rising[0]:.4%}, PSNR {rising[1]:.4%};")
    print(f"least step of the mean: {of_the_mean[:, 0].min():.0f} bytes, {of_the_mean[:, 1].min():.4f} dB")
    assert (of_the_mean > 0).all()
    assert (rising >= RISING_OF_EACH).all()


def curves(pixels: np.ndarray) -> list[tuple[float, float]]:
    """Bytes and decibels at each quality, lowest first."""
    latent = codec().analyse(pixels)
    found = []
    for quality in range(1, QUALITIES + 1):
        data = codec().code(latent, quality).to_bytes()
        psnr = psnr_db(pixels, codec().decode(parse(data)))
        assert psnr is not None
        found.append((len(data), psnr))
    return found


def pictures() -> list[np.ndarray]:
    """A folder's, or made-up ones; uint8 (H, W, 3)."""
    folder = os.environ.get("TRIPTYCH_TEST_BENCH_IMAGES")
    if not folder:
        return [landscape(512, 768, seed) for seed in range(2)]
    files = sorted(path for path in Path(folder).iterdir() if path.is_file())
    return [np.asarray(Image.open(file).convert("RGB"))[:SIDE_PX, :SIDE_PX] for file in files]
