"""What `decompress` makes of its params: formats, regions, reduced pictures, kept originals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from pipeline.codec.container import parse
from pipeline.codec.tiling import Box
from pipeline.core.errors import ImageTooLarge, InvalidParams
from pipeline.core.operation import HandlerContext, ItemInput, ItemOutput, Limits
from pipeline.imaging.decode import DecodedImage, decode_image
from pipeline.inference.compress import Compressor
from pipeline.inference.decompress import Decompressor
from pipeline.operations.compress import CompressParams
from pipeline.operations.decompress import DecompressParams, DecompressReceipt
from tests.support.codec import artifact, codec, landscape
from tests.support.image_bytes import saved

CONTEXT = HandlerContext(device="cpu", artifacts={"compression": artifact()})
DECOMPRESSOR = Decompressor(CONTEXT)
HEIGHT, WIDTH = 131, 173
PIXELS = landscape(HEIGHT, WIDTH)
ALPHA = np.random.default_rng(2).integers(0, 256, (HEIGHT, WIDTH), dtype=np.uint8)


def tri(image: Image.Image) -> bytes:
    output = Compressor(CONTEXT).run(ItemInput(saved(image, "PNG"), "a.png", CompressParams(measure="none")))
    assert output.data is not None
    return output.data


TRI = tri(Image.fromarray(PIXELS))
TRI_ALPHA = tri(Image.fromarray(np.dstack([PIXELS, ALPHA])))
WHOLE = codec().decode(parse(TRI))


def run(data: bytes = TRI, **params: Any) -> ItemOutput:
    return DECOMPRESSOR.run(ItemInput(data, "a.tri", DecompressParams(**params)))


def picture(data: bytes = TRI, **params: Any) -> DecodedImage:
    return decode_image(run(data, **params).data or b"", Limits())


@pytest.mark.parametrize(
    ("name", "extension"), [("png", ".png"), ("jpeg", ".jpg"), ("webp", ".webp"), ("tiff", ".tif")]
)
def test_every_output_format(name: str, extension: str) -> None:
    """The bytes are of the format that was asked for; what is lossless is exact."""
    output = run(format=name)
    assert (output.extension, output.content_type) == (extension, f"image/{name}")
    assert isinstance(output.receipt, DecompressReceipt)
    assert output.receipt.model == artifact().digest
    shown = decode_image(output.data or b"", Limits())
    assert (shown.format, shown.width_px, shown.height_px) == (name, WIDTH, HEIGHT)
    if name in ("png", "tiff"):
        assert np.array_equal(shown.pixels, WHOLE)


@pytest.mark.parametrize("region", [(0, 0, WIDTH, HEIGHT), (10, 20, 30, 40), (WIDTH - 1, HEIGHT - 1, 1, 1)])
def test_a_region_is_that_part_of_the_whole(region: tuple[int, int, int, int]) -> None:
    """Pixels and alpha are those of the whole picture; the receipt has the region's size."""
    left, top, width, height = region
    part = np.s_[top : top + height, left : left + width]
    shown = picture(TRI_ALPHA, region=region)
    assert np.array_equal(shown.pixels, codec().decode(parse(TRI_ALPHA))[part])
    assert shown.alpha is not None
    assert np.array_equal(shown.alpha, ALPHA[part])
    receipt = run(region=region).receipt
    assert isinstance(receipt, DecompressReceipt)
    assert (receipt.width_px, receipt.height_px) == (width, height)


@pytest.mark.parametrize("region", [(0, 0, WIDTH + 1, 1), (WIDTH, 0, 1, 1), (0, HEIGHT - 1, 1, 2)])
def test_a_region_outside_is_the_items_fault(region: tuple[int, int, int, int]) -> None:
    """The message has the region and the picture's size."""
    with pytest.raises(InvalidParams, match=f"{region[0]},{region[1]}.*{WIDTH} x {HEIGHT}"):
        run(region=region)


@pytest.mark.parametrize(
    "params",
    [
        {"region": [0, 0, 8, 8], "reduced": True},
        {"region": [0, 0, 8]},
        {"region": [0, 0, 0, 8]},
        {"region": [-1, 0, 8, 8]},
        {"region": [0, 0, 8, 8, 8]},
        {"format": "gif"},
    ],
)
def test_wrong_params_are_refused_before_any_item(params: dict[str, Any]) -> None:
    """Contradictions, wrong lengths, nothing to show, places outside of every picture."""
    with pytest.raises(ValidationError):
        DecompressParams.model_validate(params)


def test_reduced_is_an_eighth() -> None:
    """Sides are an eighth, rounded up; the picture and its alpha look like the whole, shrunk."""
    shown = picture(TRI_ALPHA, reduced=True)
    assert (shown.width_px, shown.height_px) == (-(-WIDTH // 8), -(-HEIGHT // 8))
    expected = np.asarray(Image.fromarray(WHOLE).reduce(8)).astype(int)
    assert np.abs(shown.pixels - expected).mean() < 12
    assert shown.alpha is not None
    assert np.array_equal(shown.alpha, np.asarray(Image.fromarray(ALPHA).reduce(8)))


def test_grey_comes_back_as_grey() -> None:
    """Whole, in part and reduced."""
    data = tri(Image.fromarray(PIXELS[..., 1]))
    for params in ({}, {"region": (3, 4, 50, 60)}, {"reduced": True}):
        assert picture(data, **params).is_grey


@pytest.mark.parametrize("params", [{}, {"region": (3, 4, 50, 60)}, {"reduced": True}])
def test_a_kept_original_is_converted(params: dict[str, Any]) -> None:
    """A folder that compress wrote with keep_original decodes whole: the same views of either kind."""
    original = saved(Image.fromarray(np.dstack([PIXELS, ALPHA])), "PNG")
    output = run(original, format="tiff", **params)
    assert isinstance(output.receipt, DecompressReceipt)
    assert output.receipt.model is None
    shown, of_tri = decode_image(output.data or b"", Limits()), picture(TRI_ALPHA, **params)
    assert shown.pixels.shape == of_tri.pixels.shape
    assert shown.alpha is not None
    assert of_tri.alpha is not None
    assert np.array_equal(shown.alpha, of_tri.alpha)
    if "region" in params:
        box = Box(4, 3, 64, 53)
        assert np.array_equal(shown.pixels, PIXELS[box.slices()])


def test_metadata_of_an_original_is_not_written() -> None:
    """Nobody asked for it to be kept."""
    exif = Image.Exif()
    exif[271] = "Maker"
    original = saved(Image.fromarray(PIXELS), "JPEG", exif=exif.tobytes())
    assert picture(original).exif is None


def test_limits_hold_for_the_header() -> None:
    """A picture over the pixel limit is refused, whichever part of it is wanted."""
    small = Decompressor(
        HandlerContext("cpu", {"compression": artifact()}, limits=Limits(max_pixels=HEIGHT * WIDTH - 1))
    )
    for params in (DecompressParams(), DecompressParams(region=(0, 0, 1, 1)), DecompressParams(reduced=True)):
        with pytest.raises(ImageTooLarge, match=f"{WIDTH} x {HEIGHT}"):
            small.run(ItemInput(TRI, "a.tri", params))
