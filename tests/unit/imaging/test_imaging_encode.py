"""Writing pictures: what was put in comes out, within what the format can hold."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from pipeline.core.errors import ImageTooLarge
from pipeline.core.operation import Limits
from pipeline.imaging.decode import decode_image
from pipeline.imaging.encode import CONTENT_TYPES, EncodedFormat, encode_image, preview
from tests.support import image_bytes as make

PIXELS = np.asarray(make.picture(96, 64))
ALPHA = np.linspace(0, 255, 96 * 64).reshape(64, 96).astype(np.uint8)


def test_png_is_exact() -> None:
    """PNG keeps every value of colour and alpha."""
    image = decode_image(encode_image(PIXELS, "png", alpha=ALPHA), Limits())
    assert np.array_equal(image.pixels, PIXELS)
    assert image.alpha is not None
    assert np.array_equal(image.alpha, ALPHA)


@pytest.mark.parametrize("name", ["jpeg", "webp"])
def test_quality_buys_fidelity(name: EncodedFormat) -> None:
    """Higher quality is larger and closer; the default is close."""
    sizes, errors = [], []
    for quality in (20, 60, 92):
        data = encode_image(PIXELS, name, quality=quality)
        image = decode_image(data, Limits())
        assert image.format == name
        sizes.append(len(data))
        errors.append(np.abs(image.pixels.astype(int) - PIXELS).mean())
    assert sizes == sorted(sizes)
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 4


def test_webp_keeps_alpha() -> None:
    """Alpha is lossless in WebP."""
    image = decode_image(encode_image(PIXELS, "webp", alpha=ALPHA), Limits())
    assert image.alpha is not None
    assert np.array_equal(image.alpha, ALPHA)


def test_jpeg_is_laid_over_white() -> None:
    """Where a picture is transparent, its JPEG is white; where it is opaque, it is itself."""
    alpha = np.zeros((64, 96), np.uint8)
    alpha[:, 48:] = 255
    image = decode_image(encode_image(PIXELS, "jpeg", alpha=alpha), Limits())
    assert image.pixels[:, :40].min() > 245
    assert np.abs(image.pixels[:, 56:].astype(int) - PIXELS[:, 56:]).mean() < 4


@pytest.mark.parametrize("name", ["png", "jpeg"])
def test_grey_is_written_as_one_channel(name: EncodedFormat) -> None:
    """Grey pictures stay grey files, smaller than the same in three channels."""
    grey = np.repeat(PIXELS[..., 1:2], 3, axis=2)
    data = encode_image(grey, name, grey=True)
    assert Image.open(io.BytesIO(data)).mode == "L"
    assert len(data) < len(encode_image(grey, name))
    assert decode_image(data, Limits()).is_grey
    with_alpha = decode_image(encode_image(grey, "png", alpha=ALPHA, grey=True), Limits())
    assert with_alpha.is_grey
    assert with_alpha.alpha is not None
    assert np.array_equal(with_alpha.pixels, grey)


@pytest.mark.parametrize("name", list(CONTENT_TYPES))
@pytest.mark.parametrize("shape", [(1, 1, 3), (5000, 1, 3), (1, 5000, 3)])
def test_extreme_shapes(name: EncodedFormat, shape: tuple[int, int, int]) -> None:
    """Every format writes one pixel and thin lines."""
    image = decode_image(encode_image(np.full(shape, 77, np.uint8), name), Limits())
    assert image.pixels.shape == shape


@pytest.mark.parametrize(("name", "side_px"), [("jpeg", 65_501), ("webp", 16_384)])
def test_sides_beyond_the_format(name: EncodedFormat, side_px: int) -> None:
    """What a format cannot hold is the user's error, and the message names a way out."""
    with pytest.raises(ImageTooLarge, match="choose png"):
        encode_image(np.zeros((1, side_px, 3), np.uint8), name)
    encode_image(np.zeros((1, side_px - 1, 3), np.uint8), name)


@pytest.mark.parametrize(
    "pixels", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), np.zeros((0, 4, 3), np.uint8)]
)
def test_wrong_arrays(pixels: np.ndarray) -> None:  # type: ignore[type-arg]
    """Wrong dtype or shape is a programming error."""
    with pytest.raises(ValueError, match="uint8"):
        encode_image(pixels, "png")


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((600, 900), (213, 320)), ((900, 600), (320, 213)), ((50, 40), (50, 40)), ((5000, 1), (320, 1))],
)
def test_preview_fits_its_box(shape: tuple[int, int], expected: tuple[int, int]) -> None:
    """Previews keep their shape, are never enlarged, and are small WebP files."""
    data = preview(np.resize(PIXELS, (*shape, 3)))
    image = decode_image(data, Limits())
    assert image.format == "webp"
    assert image.pixels.shape[:2] == expected
    assert len(data) < 40_000


def test_no_metadata_is_written() -> None:
    """Outputs carry neither EXIF nor a profile: without one, a file is sRGB."""
    for name in CONTENT_TYPES:
        info = Image.open(io.BytesIO(encode_image(PIXELS, name))).info
        assert not {"exif", "icc_profile", "xmp"} & set(info)
