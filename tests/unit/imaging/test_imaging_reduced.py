"""JPEG files decoded smaller: what they show and how large they are stays, whatever lies on the way."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from pipeline.core.errors import ImageTooLarge
from pipeline.core.operation import Limits
from pipeline.imaging.decode import decode_image
from tests.support.codec import landscape
from tests.support.image_bytes import saved

PIXELS = landscape(600, 900)
LIMITS = Limits()


def small(
    pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]],
) -> np.ndarray[tuple[int, ...], np.dtype[np.int16]]:
    image = Image.fromarray(pixels).resize((60, 40), Image.Resampling.BICUBIC)
    return np.asarray(image).astype(np.int16)


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_the_same_picture(mode: str, orientation: int) -> None:
    """Half as large, turned upright, in its colours, with the size of the whole."""
    exif = Image.Exif()
    exif[274] = orientation
    data = saved(Image.fromarray(PIXELS).convert(mode), "JPEG", quality=95, exif=exif)
    whole, half = decode_image(data, LIMITS), decode_image(data, LIMITS, least_side_px=300)
    assert (half.width_px, half.height_px) == (whole.width_px, whole.height_px)
    assert half.pixels.shape[:2] == (-(-whole.height_px // 2), -(-whole.width_px // 2))
    assert np.abs(small(half.pixels) - small(whole.pixels)).mean() < 2
    assert half.is_grey == whole.is_grey


@pytest.mark.parametrize(
    ("least", "shape"), [(601, (600, 900)), (151, (300, 450)), (75, (75, 113)), (1, (75, 113))]
)
def test_never_below_what_was_asked(least: int, shape: tuple[int, int]) -> None:
    data = saved(Image.fromarray(PIXELS), "JPEG")
    assert decode_image(data, LIMITS, least_side_px=least).pixels.shape[:2] == shape


def test_other_formats_stay_whole() -> None:
    for image_format in ("PNG", "WEBP", "TIFF"):
        decoded = decode_image(saved(Image.fromarray(PIXELS), image_format), LIMITS, least_side_px=10)
        assert decoded.pixels.shape[:2] == (600, 900)


def test_limits_are_those_of_the_whole() -> None:
    data = saved(Image.fromarray(PIXELS), "JPEG")
    with pytest.raises(ImageTooLarge):
        decode_image(data, Limits(max_pixels=300_000), least_side_px=10)
