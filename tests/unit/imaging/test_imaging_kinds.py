"""What becomes of each kind of picture; docs/images.md says the same for users."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from pipeline.core.errors import ImageTooLarge, InputTooLarge, UnsupportedFormat
from pipeline.core.operation import Limits
from pipeline.imaging.decode import DecodedImage, decode_image
from tests.support import icc
from tests.support import image_bytes as make

PHOTO = make.picture()
PIXELS = np.asarray(PHOTO)


def decoded(data: bytes) -> DecodedImage:
    return decode_image(data, Limits())


def distance(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> int:
    return int(np.abs(a.astype(int) - b).max())


def srgb_curve(linear: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("png", {}),
        ("bmp", {}),
        ("tiff", {}),
        ("tiff", {"compression": "tiff_lzw"}),
        ("tiff", {"compression": "tiff_adobe_deflate", "big_tiff": True}),
        ("webp", {"lossless": True, "quality": 1}),
    ],
)
def test_lossless_formats_keep_every_value(name: str, options: dict[str, Any]) -> None:
    """What a lossless file holds is what comes out, with its measures."""
    image = decoded(make.saved(PHOTO, name, **options))
    assert np.array_equal(image.pixels, PIXELS)
    assert (image.format, image.width_px, image.height_px) == (name, 48, 32)
    assert (image.alpha, image.is_grey, image.icc_profile, image.frames, image.bits) == (
        None,
        False,
        None,
        1,
        8,
    )
    assert image.notes == ()


@pytest.mark.parametrize("name", ["jpeg", "webp", "avif"])
def test_lossy_formats_come_close(name: str) -> None:
    """Lossy files of high quality decode to nearly the picture that was put in."""
    smooth = PHOTO.resize((192, 128), Image.Resampling.BICUBIC)
    image = decoded(make.saved(smooth, name, quality=95))
    assert image.format == name
    assert np.abs(image.pixels.astype(int) - np.asarray(smooth)).mean() < 3


def test_pixels_are_ready_for_numpy() -> None:
    """Arrays are uint8, C-contiguous and read-only, also when the picture was turned."""
    exif = Image.Exif()
    exif[274] = 5
    image = decoded(make.saved(PHOTO.convert("RGBA").rotate(20), "PNG", exif=exif.tobytes()))
    assert image.alpha is not None
    for array, shape in ((image.pixels, (48, 32, 3)), (image.alpha, (48, 32))):
        assert array.dtype == np.uint8
        assert array.shape == shape
        assert array.flags.c_contiguous
        assert not array.flags.writeable


_UPRIGHT = {
    1: PIXELS,
    2: PIXELS[:, ::-1],
    3: PIXELS[::-1, ::-1],
    4: PIXELS[::-1],
    5: PIXELS.transpose(1, 0, 2),
    6: np.rot90(PIXELS, -1),
    7: np.rot90(PIXELS.transpose(1, 0, 2), 2),
    8: np.rot90(PIXELS),
}


@pytest.mark.parametrize("orientation", sorted(_UPRIGHT))
@pytest.mark.parametrize("name", ["PNG", "TIFF", "TIFF-LZW", "WEBP"])
def test_exif_orientation_is_applied_once(name: str, orientation: int) -> None:
    """All eight orientations turn the picture as EXIF defines them, in each format that carries EXIF."""
    exif = Image.Exif()
    exif[274] = orientation
    options: dict[str, Any] = {"lossless": True} if name == "WEBP" else {}
    if name == "TIFF-LZW":
        options = {"compression": "tiff_lzw"}
    image = decoded(make.saved(PHOTO, name.removesuffix("-LZW"), exif=exif.tobytes(), **options))
    assert np.array_equal(image.pixels, _UPRIGHT[orientation])
    assert (image.height_px, image.width_px) == _UPRIGHT[orientation].shape[:2]


@pytest.mark.parametrize("name", ["JPEG", "AVIF"])
def test_exif_orientation_is_applied_in_lossy_formats(name: str) -> None:
    """A phone's picture on its side stands upright afterwards."""
    exif = Image.Exif()
    exif[274] = 6
    image = decoded(make.saved(PHOTO, name, quality=95, exif=exif.tobytes()))
    assert image.pixels.shape == (48, 32, 3)
    assert np.abs(image.pixels.astype(int) - _UPRIGHT[6]).mean() < 8


def test_alpha_is_kept_beside_the_colour() -> None:
    """Alpha is a plane of its own; colour under transparent pixels is untouched; opaque alpha is None."""
    alpha = np.linspace(0, 255, PIXELS[..., 0].size).reshape(PIXELS.shape[:2]).astype(np.uint8)
    rgba = Image.fromarray(np.dstack([PIXELS, alpha]))
    for name in ("PNG", "TIFF"):
        image = decoded(make.saved(rgba, name))
        assert image.alpha is not None
        assert np.array_equal(image.alpha, alpha)
        assert np.array_equal(image.pixels, PIXELS)
    assert decoded(make.saved(PHOTO.convert("RGBA"), "PNG")).alpha is None


def test_palette_with_transparency() -> None:
    """A palette becomes its colours, its transparent entries become alpha."""
    clear = PHOTO.quantize(16)
    levels = bytes(range(0, 256, 16))
    image = decoded(make.saved(clear, "PNG", transparency=levels))
    assert np.array_equal(image.pixels, np.asarray(clear.convert("RGB")))
    assert image.alpha is not None
    assert np.array_equal(image.alpha, np.frombuffer(levels, np.uint8)[np.asarray(clear)])
    gif = decoded(make.saved(clear, "GIF", transparency=3, optimize=False))
    assert gif.alpha is not None
    assert np.array_equal(gif.alpha == 0, np.asarray(clear) == 3)


def test_one_transparent_colour() -> None:
    """A PNG's single transparent colour (tRNS) becomes alpha, at 8 and at 16 bits, grey and colour."""
    key = tuple(int(v) for v in PIXELS[3, 4])
    hit = (key == PIXELS).all(axis=2)
    eight = decoded(make.saved(PHOTO, "PNG", transparency=key))
    chunk = make.png_chunk(b"tRNS", b"".join((v * 257).to_bytes(2, "big") for v in key))
    sixteen = decoded(make.png16(PIXELS.astype(np.uint16) * 257, make.PNG_RGB, extra=chunk))
    ramp = np.arange(65536, dtype=np.uint16).reshape(256, 256, 1)
    grey = decoded(make.png16(ramp, make.PNG_GREY, extra=make.png_chunk(b"tRNS", b"\x12\x34")))
    for image, expected in ((eight, hit), (sixteen, hit), (grey, ramp[..., 0] == 0x1234)):
        assert image.alpha is not None
        assert np.array_equal(image.alpha == 0, expected)
        assert set(np.unique(image.alpha)) == {0, 255}


def test_grey_stays_one_channel_in_three() -> None:
    """Grey, one-bit and grey-with-alpha files give three equal planes and say that they are grey."""
    grey = PHOTO.convert("L")
    with_alpha = Image.merge("LA", (grey, grey))
    for data in (
        make.saved(grey, "PNG"),
        make.saved(grey, "TIFF"),
        make.saved(grey, "AVIF"),
        make.saved(with_alpha, "PNG"),
    ):
        image = decoded(data)
        assert image.is_grey
        assert (image.pixels == image.pixels[..., :1]).all()
    assert np.array_equal(decoded(make.saved(with_alpha, "PNG")).pixels[..., 0], np.asarray(grey))
    bits = decoded(make.saved(PHOTO.convert("1"), "PNG"))
    assert bits.is_grey
    assert set(np.unique(bits.pixels)) == {0, 255}


RAMP16 = np.arange(65536, dtype=np.uint16).reshape(256, 256)
SCALED = (RAMP16.astype(np.uint64) * 255 + 32767) // 65535


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (make.png16(RAMP16[..., None], make.PNG_GREY), SCALED),
        (make.tiff_samples(RAMP16, 1), SCALED),
        (make.tiff_samples(RAMP16, 1, order=">"), SCALED),
        (make.tiff_samples(RAMP16, 0), 255 - SCALED),
        (make.saved(Image.fromarray(RAMP16), "TIFF", compression="tiff_lzw"), SCALED),
    ],
    ids=["png", "tiff", "tiff-big-endian", "tiff-white-is-zero", "tiff-lzw"],
)
def test_sixteen_bit_grey_is_scaled_with_rounding(data: bytes, expected: NDArray[np.uint64]) -> None:
    """All 65,536 values go to the nearest of 256; none is clipped."""
    image = decoded(data)
    assert image.bits == 16
    assert image.is_grey
    assert np.array_equal(image.pixels[..., 0], expected)


def test_twelve_bit_grey_is_scaled_from_its_own_white() -> None:
    """A 12-bit TIFF's 4,096 values, two in three bytes, go to the nearest of 256; 4095 is white."""
    values = np.arange(4096, dtype=np.uint16)
    first, second = values[::2], values[1::2]
    packed = np.stack([first >> 4, (first & 15) << 4 | second >> 8, second & 255], axis=-1).astype(np.uint8)
    tags = [(256, 4, (64,)), (257, 4, (64,)), (258, 3, (12,)), (259, 3, (1,)), (262, 3, (1,)), (273, 4, (0,))]
    image = decoded(make.tiff([*tags, (277, 3, (1,)), (278, 4, (64,))], packed.tobytes()))
    assert image.bits == 16
    assert np.array_equal(image.pixels[..., 0].ravel(), (values.astype(int) * 255 + 2047) // 4095)


def test_sixteen_bit_colour_is_scaled() -> None:
    """16-bit colour and alpha keep their high bytes: within one of rounding, exact for widened 8-bit ones."""
    wide = PIXELS.astype(np.uint16) * 257
    for data in (
        make.png16(wide, make.PNG_RGB),
        make.tiff_samples(wide, 2),
        make.tiff_samples(wide, 2, order=">"),
    ):
        image = decoded(data)
        assert image.bits == 16
        assert np.array_equal(image.pixels, PIXELS)
    steps = np.dstack([RAMP16, RAMP16[::-1], RAMP16, RAMP16])
    rgba = decoded(make.png16(steps, make.PNG_RGBA))
    assert rgba.alpha is not None
    assert distance(rgba.pixels[..., 0], SCALED.astype(np.uint8)) <= 1
    assert np.array_equal(rgba.alpha, RAMP16 >> 8)
    grey_alpha = decoded(make.png16(np.dstack([RAMP16, RAMP16.T]), make.PNG_GREY_ALPHA))
    assert grey_alpha.is_grey
    assert grey_alpha.alpha is not None
    assert np.array_equal(grey_alpha.alpha, RAMP16.T >> 8)


@pytest.mark.parametrize(
    "data",
    [
        make.tiff_samples(np.ones((4, 4), np.float32), 1, bits=32, sample_format=3),
        make.tiff_samples(np.ones((4, 4), np.int32), 1, bits=32, sample_format=2),
        make.tiff_samples(np.ones((4, 4), np.int16), 1, sample_format=2),
    ],
    ids=["float", "int32", "int16"],
)
def test_numbers_without_a_white_are_refused(data: bytes) -> None:
    """Measurements (signed, 32-bit, float) are not guessed into pictures."""
    with pytest.raises(UnsupportedFormat, match="8 or 16 bits"):
        decoded(data)


def test_cmyk_without_a_profile() -> None:
    """CMYK without a profile becomes the RGB that Pillow makes of it, from JPEG (inverted) and TIFF."""
    cmyk = PHOTO.convert("CMYK")
    tiff = decoded(make.saved(cmyk, "TIFF", compression="tiff_lzw"))
    assert np.array_equal(tiff.pixels, PIXELS)
    assert np.abs(decoded(make.saved(cmyk, "JPEG", quality=98)).pixels.astype(int) - PIXELS).mean() < 6


def test_cmyk_goes_through_its_profile() -> None:
    """Printed with four grey inks, a colourful CMYK picture comes out grey, lighter where less ink is."""
    data = make.saved(PHOTO.convert("CMYK"), "TIFF", icc_profile=icc.grey_printer())
    image = decoded(data)
    assert image.icc_profile == icc.grey_printer()
    assert (image.pixels.max(axis=2).astype(int) - image.pixels.min(axis=2)).max() <= 2
    ink = 255 - PIXELS.astype(int).mean(axis=2)
    assert np.corrcoef(image.pixels[..., 1].ravel(), ink.ravel())[0, 1] < -0.95
    assert image.notes == ()


def test_lab_becomes_rgb() -> None:
    """CIELAB files come back to the picture that they were made of."""
    lab = ImageCms.profileToProfile(
        PHOTO, ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )
    assert lab is not None
    image = decoded(make.saved(lab, "TIFF"))
    assert np.abs(image.pixels.astype(int) - PIXELS).mean() < 3


def test_wide_gamut_is_converted() -> None:
    """Display P3 is converted as by hand: linearise, multiply by a matrix, clip, apply the curve."""
    values = np.random.default_rng(3).integers(0, 256, (20, 20, 3), dtype=np.uint8)
    image = decoded(make.saved(Image.fromarray(values), "PNG", icc_profile=icc.display_p3()))
    p3_to_srgb = np.array([[1.2249, -0.2249, 0], [-0.0420, 1.0420, 0], [-0.0196, -0.0786, 1.0983]])
    encoded = values / 255
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    expected = srgb_curve((linear @ p3_to_srgb.T).clip(0, 1)) * 255
    assert np.abs(image.pixels - expected).max() <= 2
    assert np.abs(values - expected).max() > 20
    assert image.icc_profile == icc.display_p3()


def test_srgb_profile_changes_nothing() -> None:
    """A picture that says it is sRGB keeps every value."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image = decoded(make.saved(PHOTO, "PNG", icc_profile=profile))
    assert np.array_equal(image.pixels, PIXELS)
    assert image.icc_profile == profile


def test_grey_profile_is_applied_and_stays_neutral() -> None:
    """Grey in linear light is brightened by sRGB's curve; the planes stay equal."""
    ramp = np.arange(256, dtype=np.uint8)[None]
    image = decoded(make.saved(Image.fromarray(ramp), "PNG", icc_profile=icc.linear_grey()))
    assert image.is_grey
    assert (image.pixels == image.pixels[..., :1]).all()
    assert np.abs(image.pixels[0, :, 0] - srgb_curve(ramp[0] / 255) * 255).max() <= 1


@pytest.mark.parametrize("profile", [b"no profile at all", icc.display_p3()[:200], icc.grey_printer()])
def test_unusable_profile_is_noted(profile: bytes) -> None:
    """A broken profile, or one for another kind of picture, costs a note and not the picture."""
    image = decoded(make.saved(PHOTO, "PNG", icc_profile=profile))
    assert np.array_equal(image.pixels, PIXELS)
    assert len(image.notes) == 1
    assert "profile" in image.notes[0]


@pytest.mark.parametrize("name", ["GIF", "WEBP", "PNG", "AVIF", "TIFF"])
def test_first_frame_of_many(name: str) -> None:
    """Animations and pages give their first picture and say how many there are."""
    frames = [Image.new("RGB", (20, 10), (40 * n, 255 - 40 * n, 90)) for n in range(5)]
    image = decoded(make.saved(frames[0], name, save_all=True, append_images=frames[1:]))
    assert image.frames == 5
    assert distance(image.pixels, np.asarray(frames[0])) <= 6


def test_limits_are_the_caller_s() -> None:
    """Bytes, pixels and frames are allowed up to the limit and refused one beyond it."""
    data = make.saved(PHOTO, "PNG")
    frames = [Image.new("L", (4, 4), n) for n in range(3)]
    gif = make.saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    decode_image(data, Limits(max_bytes=len(data), max_pixels=48 * 32))
    decode_image(gif, Limits(max_frames=3))
    with pytest.raises(InputTooLarge):
        decode_image(data, Limits(max_bytes=len(data) - 1))
    with pytest.raises(ImageTooLarge, match="48 x 32"):
        decode_image(data, Limits(max_pixels=48 * 32 - 1))
    with pytest.raises(ImageTooLarge, match="frames"):
        decode_image(gif, Limits(max_frames=2))


def test_pillow_s_own_limit_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The item's limit decides: Pillow's process-wide guard is neither obeyed here nor changed."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    for name in ("PNG", "JPEG", "BMP", "AVIF"):
        assert decoded(make.saved(PHOTO, name)).width_px == 48
    assert Image.MAX_IMAGE_PIXELS == 100


@pytest.mark.parametrize(
    "more",
    [
        pytest.param([(254, 4, (1,)), (330, 4, (8,))], id="NEF, ARW"),
        pytest.param([(254, 4, (1,)), (330, 4, (8,)), (50706, 4, (1,))], id="DNG"),
        pytest.param([(50706, 4, (1,))], id="linear DNG"),
    ],
)
def test_a_cameras_raw_file_is_not_taken_for_its_thumbnail(more: list[Any]) -> None:
    """The first picture of such a TIFF is a small one; that of others is the picture itself."""
    rgb = np.zeros((4, 6, 3), np.uint8)
    with pytest.raises(UnsupportedFormat, match="raw file"):
        decoded(make.tiff_samples(rgb, 2, bits=8, more=more))
    pyramid = [(254, 4, (0,)), (330, 4, (8,))]
    assert decoded(make.tiff_samples(rgb, 2, bits=8, more=pyramid)).pixels.shape == (4, 6, 3)


def test_canons_raw_files() -> None:
    plain = make.tiff_samples(np.zeros((4, 6, 3), np.uint8), 2, bits=8)
    with pytest.raises(UnsupportedFormat, match="raw file"):
        decoded(plain[:4] + struct.pack("<I", 16) + b"CR\x02\x00" + bytes(4) + _moved(plain, 8))


def _moved(data: bytes, by: int) -> bytes:
    """A TIFF's directory that lies further on: offsets in it, too."""
    (count,) = struct.unpack_from("<H", data, 8)
    table = bytearray(data[8:])
    for at in range(2, 2 + 12 * count, 12):
        tag, kind, values = struct.unpack_from("<HHI", table, at)
        if tag == 273 or values * {3: 2, 4: 4}[kind] > 4:
            (offset,) = struct.unpack_from("<I", table, at + 8)
            struct.pack_into("<I", table, at + 8, offset + by)
    return bytes(table)
