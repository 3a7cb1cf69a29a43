"""Profiles and EXIF: kept byte for byte where somebody asks for them, and never misleading."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from pipeline.core.operation import Limits
from pipeline.imaging.decode import decode_image
from pipeline.imaging.encode import EncodedFormat, encode_image, preview
from pipeline.imaging.exif import MAX_EXIF_BYTES, upright
from tests.support import icc
from tests.support import image_bytes as make

PHOTO = make.picture()
PIXELS = np.asarray(PHOTO)
GREY = np.repeat(PIXELS[..., 1:2], 3, axis=2)


def exif_block(orientation: int = 6) -> bytes:
    """An EXIF block as a camera writes it, without the prefix of JPEG's segment."""
    exif = Image.Exif()
    exif[271], exif[274] = "Maker", orientation
    exif.get_ifd(0x8769)[33434] = (1, 125)
    return exif.tobytes().removeprefix(b"Exif\0\0")


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def test_a_kept_profile_leaves_the_values_alone() -> None:
    """Colour and grey stay in the space of their profile, and the profile says so."""
    wide = decode_image(make.saved(PHOTO, "PNG", icc_profile=icc.display_p3()), Limits(), keep_profile=True)
    assert np.array_equal(wide.pixels, PIXELS)
    assert wide.space == wide.icc_profile == icc.display_p3()
    grey = make.saved(Image.fromarray(GREY[..., 0]), "PNG", icc_profile=icc.linear_grey())
    linear = decode_image(grey, Limits(), keep_profile=True)
    assert np.array_equal(linear.pixels, GREY)
    assert linear.space == icc.linear_grey()


def test_without_asking_pixels_are_srgb() -> None:
    """The profile is known, but the pixels are not in it."""
    image = decode_image(make.saved(PHOTO, "PNG", icc_profile=icc.display_p3()), Limits())
    assert (image.icc_profile, image.space) == (icc.display_p3(), None)
    assert not np.array_equal(image.pixels, PIXELS)


@pytest.mark.parametrize("profile", [b"no profile", icc.linear_grey(), icc.grey_printer()])
def test_a_profile_that_describes_nothing_is_not_kept(profile: bytes) -> None:
    """Damaged, of grey or of inks: colours are taken as sRGB, and a note says so."""
    image = decode_image(make.saved(PHOTO, "PNG", icc_profile=profile), Limits(), keep_profile=True)
    assert image.space is None
    assert np.array_equal(image.pixels, PIXELS)
    assert "sRGB" in image.notes[0]


def test_inks_become_srgb_all_the_same() -> None:
    """CMYK has four channels, so its profile cannot stay with three."""
    data = make.saved(PHOTO.convert("CMYK"), "TIFF", icc_profile=icc.grey_printer())
    kept, converted = (decode_image(data, Limits(), keep_profile=keep) for keep in (True, False))
    assert kept.space is None
    assert np.array_equal(kept.pixels, converted.pixels)


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_exif_is_read_byte_for_byte(name: str) -> None:
    """The block is what the camera wrote, orientation included, without a container's prefix."""
    prefix = b"Exif\0\0" if name == "JPEG" else b""
    image = decode_image(make.saved(PHOTO, name, exif=prefix + exif_block()), Limits())
    assert image.exif == exif_block()
    assert image.height_px == PHOTO.width  # and the picture was turned


def test_exif_that_is_not_kept() -> None:
    """TIFF spreads it over the file; none and absurdly long ones are None."""
    assert decode_image(make.saved(PHOTO, "TIFF", exif=exif_block()), Limits()).exif is None
    assert decode_image(make.saved(PHOTO, "PNG"), Limits()).exif is None
    long = make.saved(PHOTO, "PNG", exif=exif_block(1) + bytes(MAX_EXIF_BYTES))
    assert decode_image(long, Limits()).exif is None


@pytest.mark.parametrize("order", ["<", ">"])
def test_upright_changes_the_orientation_only(order: str) -> None:
    """Two bytes, in either byte order; a block without orientation stays as it is."""
    block = make.tiff([(256, 4, (7,)), (274, 3, (8,)), (305, 4, (9,))], b"notes", order=order)
    turned = upright(block)
    assert turned is not None
    assert sum(a != b for a, b in zip(block, turned, strict=True)) == 1
    assert upright(turned) == turned
    plain = make.tiff([(256, 4, (7,))], b"notes", order=order)
    assert upright(plain) == plain


@pytest.mark.parametrize(
    "block",
    [
        b"",
        b"II*\0",
        b"XX" + exif_block()[2:],
        exif_block()[:20],
        make.tiff([(274, 4, (6,))], b""),  # a LONG where a SHORT belongs
        exif_block()[:4] + b"\xff" * 4 + exif_block()[8:],
    ],
)
def test_damaged_exif_is_no_exif(block: bytes) -> None:
    """Whatever cannot be walked is left out, and never raises."""
    assert upright(block) is None


@pytest.mark.parametrize("name", ["png", "jpeg", "webp"])
def test_written_exif_stands_upright(name: EncodedFormat) -> None:
    """All of the block is there, but a reader that obeys the orientation does not turn the picture again."""
    data = encode_image(PIXELS, name, exif=exif_block(6))
    exif = opened(data).getexif()
    assert (exif[271], exif[274]) == ("Maker", 1)
    assert exif.get_ifd(0x8769)[33434] == (1, 125)
    assert decode_image(data, Limits()).exif == upright(exif_block(6))


def test_exif_that_a_format_cannot_hold_is_left_out() -> None:
    """Never an error: the picture is what counts."""
    long = exif_block(1) + bytes(65_527)
    assert decode_image(encode_image(PIXELS, "jpeg", exif=long), Limits()).exif is None
    assert decode_image(encode_image(PIXELS, "png", exif=long), Limits()).exif == long
    assert decode_image(encode_image(PIXELS, "jpeg", exif=long[:65_527]), Limits()).exif == long[:65_527]
    assert 271 not in opened(encode_image(PIXELS, "tiff", exif=exif_block())).getexif()
    assert "exif" not in opened(encode_image(PIXELS, "png", exif=b"damaged")).info


@pytest.mark.parametrize("name", ["png", "jpeg", "webp", "tiff"])
def test_a_profile_is_written_byte_for_byte(name: EncodedFormat) -> None:
    """Colour in every format; grey where the format has grey."""
    assert opened(encode_image(PIXELS, name, icc_profile=icc.display_p3())).info["icc_profile"] == (
        icc.display_p3()
    )
    grey = opened(encode_image(GREY, name, grey=True, icc_profile=icc.linear_grey()))
    assert grey.info.get("icc_profile") == (None if name == "webp" else icc.linear_grey())


def test_grey_with_a_profile_looks_the_same_in_webp() -> None:
    """WebP has three channels, so there the grey is converted to sRGB instead."""
    expected = decode_image(encode_image(GREY, "png", grey=True, icc_profile=icc.linear_grey()), Limits())
    found = decode_image(
        encode_image(GREY, "webp", quality=100, grey=True, icc_profile=icc.linear_grey()), Limits()
    )
    assert np.abs(found.pixels.astype(int) - expected.pixels).mean() < 2


@pytest.mark.parametrize("grey", [False, True])
def test_previews_are_srgb(grey: bool) -> None:
    """A preview shows what the picture looks like, without a profile to say so."""
    pixels, profile = (GREY, icc.linear_grey()) if grey else (PIXELS, icc.display_p3())
    data = preview(pixels, icc_profile=profile)
    shown = decode_image(data, Limits())
    expected = decode_image(encode_image(pixels, "png", grey=grey, icc_profile=profile), Limits())
    assert shown.icc_profile is None
    assert np.abs(shown.pixels.astype(int) - expected.pixels).mean() < 6


def test_tiff_is_exact() -> None:
    """TIFF keeps every value of colour, grey and alpha."""
    alpha = np.arange(PIXELS[..., 0].size, dtype=np.uint32).reshape(PIXELS.shape[:2]).astype(np.uint8)
    for pixels, grey in ((PIXELS, False), (GREY, True)):
        image = decode_image(encode_image(pixels, "tiff", alpha=alpha, grey=grey), Limits())
        assert (image.format, image.is_grey) == ("tiff", grey)
        assert np.array_equal(image.pixels, pixels)
        assert image.alpha is not None
        assert np.array_equal(image.alpha, alpha)
