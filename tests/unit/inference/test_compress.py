"""What `compress` makes of its params: targets, fallback, metadata, measuring."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from pipeline.codec.alpha import unpack_alpha
from pipeline.codec.container import parse
from pipeline.core.errors import TargetUnreachable
from pipeline.core.operation import HandlerContext, ItemInput, ItemOutput, Limits
from pipeline.imaging.decode import decode_image
from pipeline.inference.compress import Compressor
from pipeline.inference.decompress import Decompressor
from pipeline.metrics.ms_ssim import ms_ssim
from pipeline.metrics.psnr import psnr_db
from pipeline.operations.compress import CompressParams, CompressReceipt
from pipeline.operations.decompress import DecompressParams
from tests.support import icc
from tests.support.codec import artifact, codec, landscape
from tests.support.image_bytes import PNG_RGB, png16, saved

CONTEXT = HandlerContext(device="cpu", artifacts={"compression": artifact()})
COMPRESSOR, DECOMPRESSOR = Compressor(CONTEXT), Decompressor(CONTEXT)
PIXELS = landscape(170, 200)
PNG = saved(Image.fromarray(PIXELS), "PNG")


def compressed(data: bytes = PNG, *, sample: bool = False, **params: Any) -> ItemOutput:
    return COMPRESSOR.run(ItemInput(data, "a.png", CompressParams(**params), sample))


def bytes_of(output: ItemOutput) -> bytes:
    assert output.data is not None
    return output.data


def receipt_of(output: ItemOutput) -> CompressReceipt:
    assert isinstance(output.receipt, CompressReceipt)
    return output.receipt


def back(data: bytes) -> bytes:
    """What `decompress` makes of a file."""
    return bytes_of(DECOMPRESSOR.run(ItemInput(data, "a.tri", DecompressParams())))


# -- targets ----------------------------------------------------------------------------------------
def test_one_target_at_most() -> None:
    """Two targets at once are refused, and the message names them."""
    with pytest.raises(ValidationError, match="not quality and max_bytes together"):
        CompressParams(quality=50, max_bytes=1000)
    with pytest.raises(ValidationError, match="not max_bytes and min_psnr_db together"):
        CompressParams(max_bytes=1000, min_psnr_db=30)


def test_without_a_target_quality_is_50() -> None:
    """Saying nothing is saying quality 50."""
    assert compressed().data == compressed(quality=50).data
    assert receipt_of(compressed()).quality == 50


@pytest.mark.parametrize("share", [0.7, 1.0, 1.5])
def test_max_bytes_is_the_best_that_fits(share: float) -> None:
    """The whole file fits, and is what its quality gives; one quality more does not fit."""
    max_bytes = round(len(bytes_of(compressed(quality=50))) * share)
    output = compressed(max_bytes=max_bytes)
    quality = receipt_of(output).quality
    assert quality is not None
    assert len(bytes_of(output)) <= max_bytes
    assert output.data == compressed(quality=quality).data
    assert quality == 100 or len(bytes_of(compressed(quality=quality + 1))) > max_bytes


def test_min_psnr_is_the_smallest_that_is_close_enough() -> None:
    """The receipt's PSNR is that of what decompress gives, and one quality less is not enough."""
    target = receipt_of(compressed(quality=40, measure="all")).psnr_db
    assert target is not None
    output = compressed(min_psnr_db=target - 0.01)
    found = receipt_of(output)
    assert found.quality is not None
    assert found.quality <= 40
    assert found.psnr_db == psnr_db(PIXELS, decode_image(back(bytes_of(output)), Limits()).pixels)
    below = receipt_of(compressed(quality=found.quality - 1, measure="all")).psnr_db
    assert below is not None
    assert below < target - 0.01 <= (found.psnr_db or 0)


def test_unreachable_targets_are_the_items_fault() -> None:
    """Too few bytes, too many decibels: a coded error that says what could be had."""
    with pytest.raises(TargetUnreachable, match="max_bytes is 30"):
        compressed(max_bytes=30)
    with pytest.raises(TargetUnreachable, match="min_psnr_db is 99"):
        compressed(min_psnr_db=99)
    assert TargetUnreachable.code == "target_unreachable"


# -- fallback ---------------------------------------------------------------------------------------
TINY_GIF = saved(Image.new("L", (3, 2), 90), "GIF")


@pytest.mark.parametrize(
    ("name", "extension"),
    [
        ("PNG", ".png"),
        ("JPEG", ".jpg"),
        ("WEBP", ".webp"),
        ("TIFF", ".tif"),
        ("GIF", ".gif"),
        ("BMP", ".bmp"),
    ],
)
def test_keep_original_keeps_the_very_bytes(name: str, extension: str) -> None:
    """The output is the input, named and served as what it is; the receipt says so."""
    data = saved(Image.fromarray(PIXELS[:20, :30]), name)
    output = compressed(data, min_psnr_db=99, keep=["icc"], fallback="keep_original")
    assert (output.data, output.extension, output.content_type) == (data, extension, f"image/{name.lower()}")
    receipt = receipt_of(output)
    assert (receipt.kept_original, receipt.quality, receipt.model) == (True, None, None)
    assert (receipt.bytes_out, receipt.ratio, receipt.measured) == (len(data), 1.0, False)
    assert receipt.bpp == pytest.approx(8 * len(data) / 600)


def test_keep_original_where_the_file_would_not_be_smaller() -> None:
    """Whatever the target was."""
    for target in ({"quality": 100}, {"max_bytes": 10_000}, {"min_psnr_db": 20}):
        output = compressed(TINY_GIF, preview=True, fallback="keep_original", **target)
        assert (output.data, output.extension) == (TINY_GIF, ".gif")


def test_without_fallback_the_file_is_a_tri_file() -> None:
    """Also where it is larger than its input."""
    output = compressed(TINY_GIF, preview=True)
    assert len(bytes_of(output)) > len(TINY_GIF)
    assert parse(bytes_of(output)).width_px == 3
    assert not receipt_of(output).kept_original


def test_fallback_does_nothing_where_the_file_is_smaller() -> None:
    """A photo is compressed all the same."""
    assert compressed(fallback="keep_original").data == compressed().data


def test_keep_original_where_a_target_cannot_be_reached() -> None:
    """The original is close enough for any PSNR; it must still fit into max_bytes."""
    assert compressed(min_psnr_db=99, fallback="keep_original").data == PNG
    with pytest.raises(TargetUnreachable):
        compressed(max_bytes=30, fallback="keep_original")


# -- measuring --------------------------------------------------------------------------------------
def test_the_receipt_is_measured() -> None:
    """Sizes are those of the bytes, PSNR and MS-SSIM are those of what decompress gives."""
    output = compressed(measure="all")
    receipt = receipt_of(output)
    picture = decode_image(back(bytes_of(output)), Limits())
    assert receipt.bytes_out == len(bytes_of(output))
    assert receipt.bpp == pytest.approx(8 * receipt.bytes_out / PIXELS[:, :, 0].size)
    assert receipt.ratio == len(PNG) / receipt.bytes_out
    assert receipt.model == artifact().digest
    assert set(receipt.seconds) == {"read", "encode", "measure"}
    assert receipt.measured
    assert receipt.psnr_db == psnr_db(PIXELS, picture.pixels)
    assert receipt.ms_ssim == ms_ssim(PIXELS, picture.pixels)
    assert receipt.ms_ssim is not None


@pytest.mark.parametrize(
    ("measure", "sample", "measured"),
    [("none", True, False), ("sample", False, False), ("sample", True, True), ("all", False, True)],
)
def test_who_is_measured(measure: str, sample: bool, measured: bool) -> None:
    """By default the items that the report shows; previews come for these in any case, and only for them."""
    output = compressed(measure=measure, sample=sample)
    receipt = receipt_of(output)
    assert receipt.measured is (receipt.psnr_db is not None) is (receipt.ms_ssim is not None) is measured
    assert set(output.previews) == ({"before", "after"} if sample else set())
    assert all(data[8:12] == b"WEBP" for data in output.previews.values())


def test_measuring_changes_no_byte() -> None:
    """The file is the same, however it was measured."""
    assert compressed(measure="none").data == compressed(measure="all", sample=True).data


# -- what is kept -----------------------------------------------------------------------------------
def exif_block(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[271], exif[274] = "Maker", orientation
    return exif.tobytes().removeprefix(b"Exif\0\0")


def test_metadata_is_dropped_unless_asked_for() -> None:
    """Neither profile nor EXIF travels on by itself."""
    photo = saved(Image.fromarray(PIXELS), "PNG", icc_profile=icc.display_p3(), exif=exif_block(1))
    extras = parse(bytes_of(compressed(photo))).extras
    assert (extras.icc, extras.exif, extras.preview, extras.alpha) == (None, None, None, None)


def test_icc_is_kept_byte_for_byte() -> None:
    """The pixels are coded in the profile's space, and the picture that comes back is in it."""
    photo = saved(Image.fromarray(PIXELS), "PNG", icc_profile=icc.display_p3())
    output = compressed(photo, keep=["icc"], quality=90, measure="all")
    assert parse(bytes_of(output)).extras.icc == icc.display_p3()
    picture = decode_image(back(bytes_of(output)), Limits(), keep_profile=True)
    assert picture.space == icc.display_p3()
    assert receipt_of(output).psnr_db == psnr_db(PIXELS, picture.pixels)


def test_exif_is_kept_byte_for_byte() -> None:
    """In the file as the camera wrote it; in what is decoded, upright as the pixels are."""
    photo = saved(Image.fromarray(PIXELS), "PNG", exif=exif_block(6))
    data = bytes_of(compressed(photo, keep=["exif"]))
    assert parse(data).extras.exif == exif_block(6)
    assert (parse(data).width_px, parse(data).height_px) == (170, 200)
    picture = decode_image(back(data), Limits())
    assert picture.exif == exif_block(1)
    assert (picture.width_px, picture.height_px) == (170, 200)


def test_a_preview_on_request() -> None:
    """A small sRGB WebP, in the file."""
    embedded = parse(bytes_of(compressed(preview=True))).extras.preview
    shown = decode_image(embedded or b"", Limits())
    assert (shown.format, shown.width_px, shown.height_px) == ("webp", 200, 170)
    assert (psnr_db(PIXELS, shown.pixels) or 99) > 25


def test_alpha_is_lossless() -> None:
    """Every value of the plane comes back."""
    alpha = np.random.default_rng(5).integers(0, 256, PIXELS.shape[:2], dtype=np.uint8)
    data = bytes_of(compressed(saved(Image.fromarray(np.dstack([PIXELS, alpha])), "PNG")))
    packed = parse(data).extras.alpha
    assert packed is not None
    assert np.array_equal(unpack_alpha(packed, 170, 200), alpha)


def test_16_bits_are_declared_lossy() -> None:
    """A note in the receipt says that they were rounded."""
    receipt = receipt_of(compressed(png16(PIXELS.astype(np.uint16) * 257, PNG_RGB)))
    assert any("16-bit" in note for note in receipt.notes)
    assert receipt_of(compressed()).notes == ()


# -- .tri as an input -------------------------------------------------------------------------------
def test_a_tri_file_is_an_image() -> None:
    """A .tri file is compressed like what it decodes to, alpha and profile included."""
    alpha = np.arange(170 * 200, dtype=np.uint32).reshape(170, 200).astype(np.uint8)
    photo = saved(Image.fromarray(np.dstack([PIXELS, alpha])), "PNG", icc_profile=icc.display_p3())
    first = bytes_of(compressed(photo, quality=90, keep=["icc"]))
    again = parse(bytes_of(compressed(first, quality=60, keep=["icc"])))
    assert (again.extras.icc, again.quality) == (icc.display_p3(), 60)
    assert (psnr_db(codec().decode(parse(first)), codec().decode(again)) or 99) > 25
    assert again.extras.alpha == parse(first).extras.alpha
    kept = compressed(first, quality=100, fallback="keep_original")
    assert (kept.data, kept.extension) == (first, ".tri")


def test_a_kept_profile_is_applied_when_srgb_is_wanted() -> None:
    """Reading a .tri file with a profile gives sRGB, as for any image with a profile."""
    photo = saved(Image.fromarray(PIXELS), "PNG", icc_profile=icc.display_p3())
    tri = bytes_of(compressed(photo, quality=95, keep=["icc"]))
    srgb = decode_image(photo, Limits()).pixels
    assert (psnr_db(srgb, COMPRESSOR._images.read(tri).pixels) or 99) > 30
    grey = saved(Image.fromarray(PIXELS[..., 0]), "PNG", icc_profile=icc.linear_grey())
    grey_tri = bytes_of(compressed(grey, quality=95, keep=["icc"]))
    read = COMPRESSOR._images.read(grey_tri)
    assert (read.is_grey, read.space) == (True, None)
    assert (psnr_db(decode_image(grey, Limits()).pixels, read.pixels) or 99) > 26
