"""compress and decompress as workers run them."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from pipeline.core.errors import (
    CorruptBitstream,
    ImageTooLarge,
    InputTooLarge,
    UndecodableImage,
)
from pipeline.core.operation import HandlerContext, ItemInput, ItemOutput, Limits, resolve_handler
from pipeline.imaging.decode import decode_image
from pipeline.inference.compress import Compressor
from pipeline.inference.decompress import Decompressor
from pipeline.operations import compress, decompress
from pipeline.operations.compress import CompressParams
from pipeline.operations.decompress import DecompressParams
from tests.support.codec import artifact, landscape
from tests.support.image_bytes import saved

CONTEXT = HandlerContext(
    device="cpu", artifacts={"compression": artifact()}, limits=Limits(max_pixels=200_000)
)
PIXELS = landscape(120, 170)
PNG = saved(Image.fromarray(PIXELS), "PNG")
COMPRESSOR, DECOMPRESSOR = Compressor(CONTEXT), Decompressor(CONTEXT)


def compressed(data: bytes = PNG, *, quality: int = 50) -> ItemOutput:
    return COMPRESSOR.run(ItemInput(data, "a.png", CompressParams(quality=quality)))


def decompressed(data: bytes, params: DecompressParams | None = None) -> ItemOutput:
    return DECOMPRESSOR.run(ItemInput(data, "a.tri", params or DecompressParams()))


def test_the_registry_names_these_handlers() -> None:
    """The strings in the operations lead here."""
    assert resolve_handler(compress.OPERATION) is Compressor
    assert resolve_handler(decompress.OPERATION) is Decompressor


def test_output_is_deterministic() -> None:
    """The same input and params give the same bytes, warm or cold."""
    other = Compressor(CONTEXT)
    assert other.run(ItemInput(PNG, "b", CompressParams(quality=50))).data == compressed().data
    other.warm_up()
    assert other.run(ItemInput(PNG, "c", CompressParams(quality=50))).data == compressed().data


def test_alpha_and_grey_survive_the_path() -> None:
    """A grey PNG with alpha comes back as one."""
    grey = Image.fromarray(PIXELS[:, :, 0])
    alpha = Image.fromarray(np.arange(120 * 170, dtype=np.uint32).reshape(120, 170).astype(np.uint8))
    data = compressed(saved(Image.merge("LA", (grey, alpha)), "PNG")).data or b""
    picture = decode_image(decompressed(data).data or b"", Limits())
    assert picture.is_grey
    assert picture.alpha is not None
    assert np.array_equal(picture.alpha, np.asarray(alpha))


def test_bad_inputs_are_the_items_fault() -> None:
    """Damaged pictures and files, files of another kind, and too large ones."""
    with pytest.raises(UndecodableImage):
        compressed(PNG[:200])
    with pytest.raises(CorruptBitstream):
        decompressed(b"neither .tri file nor picture")
    with pytest.raises(CorruptBitstream):
        decompressed(b"")
    with pytest.raises(CorruptBitstream):
        decompressed((compressed().data or b"")[:-1])
    with pytest.raises(ImageTooLarge):
        compressed(saved(Image.new("RGB", (500, 401)), "PNG"))


def test_limits_hold_for_tri_files() -> None:
    """A .tri file larger than allowed is refused by its header or its length."""
    large = Compressor(HandlerContext(device="cpu", artifacts={"compression": artifact()}))
    data = large.run(ItemInput(saved(Image.new("RGB", (500, 401)), "PNG"), "a", CompressParams())).data or b""
    with pytest.raises(ImageTooLarge):
        decompressed(data)
    small = Decompressor(
        HandlerContext(device="cpu", artifacts={"compression": artifact()}, limits=Limits(max_bytes=9))
    )
    with pytest.raises(InputTooLarge):
        small.run(ItemInput(data, "a.tri", DecompressParams()))
