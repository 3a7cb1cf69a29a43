"""Damaged files: a picture or a typed error, nothing else, in bounded time and memory."""

from __future__ import annotations

import resource
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.core.errors import InvalidInput
from pipeline.core.operation import Limits
from pipeline.imaging.decode import DecodedImage, decode_image
from tests.support import icc
from tests.support import image_bytes as make

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")

LIMITS = Limits(max_bytes=2**20, max_pixels=4_000_000, max_frames=20)


def _valid_files() -> list[bytes]:
    noise = np.random.default_rng(5).integers(-30, 30, (40, 56, 3))
    photo = Image.fromarray((np.asarray(make.picture(56, 40)) + noise).clip(0, 255).astype(np.uint8))
    exif = Image.Exif()
    exif[274] = 6
    several = {"save_all": True, "append_images": [photo.rotate(10), photo.rotate(180)]}
    options: list[tuple[Image.Image, str, dict[str, Any]]] = [
        (photo, "JPEG", {"exif": exif.tobytes(), "icc_profile": icc.display_p3()}),
        (photo, "JPEG", {"progressive": True}),
        (photo.convert("CMYK"), "JPEG", {"icc_profile": icc.grey_printer()}),
        (photo, "PNG", {"exif": exif.tobytes(), "icc_profile": icc.display_p3()}),
        (photo.quantize(16), "PNG", {"transparency": bytes(range(16))}),
        (photo, "PNG", several),
        (photo, "WEBP", {"exif": exif.tobytes()}),
        (photo.convert("RGBA").rotate(9), "WEBP", {"lossless": True}),
        (photo, "WEBP", several),
        (photo, "AVIF", {"exif": exif.tobytes()}),
        (photo, "AVIF", several),
        (photo.convert("RGBA").rotate(9), "AVIF", {}),
        (photo.quantize(16), "GIF", {"transparency": 3}),
        (photo, "GIF", several),
        (photo, "BMP", {}),
        (photo.quantize(16), "BMP", {}),
        (photo, "TIFF", {"exif": exif.tobytes()}),
        (photo.convert("RGBA"), "TIFF", {"compression": "tiff_lzw"}),
        (photo, "TIFF", {"compression": "jpeg"}),
        (photo.convert("1"), "TIFF", {"compression": "group4"}),
        (photo, "TIFF", {"compression": "tiff_adobe_deflate", "big_tiff": True, **several}),
    ]
    files = [make.saved(image, name, **kwargs) for image, name, kwargs in options]
    return [*files, make.tiff_samples(np.asarray(photo).astype(np.uint16) * 257, 2)]


VALID = _valid_files()
fractions = st.floats(0, 1, exclude_max=True)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A valid file after one to four of: cut, flip, overwrite, insert, repeat, splice with another file."""
    data = bytearray(draw(st.sampled_from(VALID)))
    for _ in range(draw(st.integers(1, 4))):
        # Half of all damage goes to the first bytes: headers hold what decoders trust.
        reach = len(data) if draw(st.booleans()) else min(len(data), 200)
        at = int(draw(fractions) * reach)
        kind = draw(st.sampled_from(["cut", "flip", "overwrite", "insert", "repeat", "splice"]))
        if kind == "cut":
            del data[at:]
        elif kind == "flip" and data:
            data[at] ^= 1 << draw(st.integers(0, 7))
        elif kind == "overwrite":
            value = draw(
                st.sampled_from([b"\xff\xff\xff\xff", bytes(4), b"\x7f\xff\xff\xff"]) | st.binary(max_size=8)
            )
            data[at : at + len(value)] = value
        elif kind == "insert":
            data[at:at] = draw(st.binary(min_size=1, max_size=40))
        elif kind == "repeat":
            data[at:at] = data[at : at + draw(st.integers(1, 64))] * draw(st.integers(1, 50))
        elif kind == "splice":
            other = draw(st.sampled_from(VALID))
            data[at:] = other[int(draw(fractions) * len(other)) :]
    return bytes(data)


def _checked(image: DecodedImage) -> None:
    height, width = image.height_px, image.width_px
    assert image.pixels.dtype == np.uint8
    assert image.pixels.shape == (height, width, 3)
    assert 0 < height * width <= LIMITS.max_pixels
    assert image.alpha is None or (image.alpha.dtype == np.uint8 and image.alpha.shape == (height, width))
    assert not image.is_grey or (image.pixels == image.pixels[..., :1]).all()


@given(data=damaged())
@settings(max_examples=500, deadline=2000)
def test_damage_ends_in_a_picture_or_a_typed_error(data: bytes) -> None:
    """Whatever happened to a file, decoding ends soon in a consistent picture or an InvalidInput."""
    before = _peak_bytes()
    try:
        image = decode_image(data, LIMITS)
    except InvalidInput as error:
        assert error.message  # noqa: PT017 - both ends of the law are checked
    else:
        _checked(image)
    # 4 MP are 12 MB of pixels; Pillow holds 16 MB a copy, libtiff a tile more.
    assert _peak_bytes() - before < 150 * 2**20


@given(data=st.binary(max_size=400), start=st.sampled_from([b"", *(file[:16] for file in VALID)]))
@settings(max_examples=300, deadline=2000)
def test_noise_is_refused(data: bytes, start: bytes) -> None:
    """Random bytes, also after a true beginning, are refused or decode; nothing else happens."""
    try:
        _checked(decode_image(start + data, LIMITS))
    except InvalidInput as error:
        assert error.code in ("unsupported_format", "undecodable_image", "image_too_large")  # noqa: PT017


@given(which=st.integers(0, len(VALID) - 1), share=fractions)
@settings(max_examples=300, deadline=2000)
def test_a_cut_file_is_never_half_a_picture(which: int, share: float) -> None:
    """A beginning of a file fails, or (a GIF without its last byte) is the whole picture."""
    whole = VALID[which]
    try:
        image = decode_image(whole[: int(share * len(whole))], LIMITS)
    except InvalidInput:
        return
    assert np.array_equal(image.pixels, decode_image(whole, LIMITS).pixels)


def _peak_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
