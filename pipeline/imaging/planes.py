"""From Pillow's modes to what Triptych works on: 8 bits, one colour picture and one alpha plane."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.ImageFile import ImageFile
from PIL.TiffImagePlugin import TiffImageFile

from pipeline.core.errors import UnsupportedFormat

_TAG_BITS_PER_SAMPLE, _TAG_PHOTOMETRIC = 258, 262
_WHITE_IS_ZERO = 0
_PNG_DEPTH_AT, _PNG_COLOUR_TYPE_AT = 24, 25  # in the file: IHDR is always first
_PNG_GREY_WITH_ALPHA = 4
GREY_MODES = ("1", "L", "LA", "La", "I;16", "I;16B")
_ALPHA_MODES = ("LA", "La", "PA", "RGBA", "RGBa")


_ROWS_AT_ONCE = 256


def rgb_samples(image: Image.Image) -> NDArray[np.uint8]:
    """The samples of a loaded picture of mode "L" or "RGB", uint8 (H, W, 3), C-contiguous.

    Strip by strip: `np.asarray` of a whole picture holds its samples twice, and a conversion of modes once
    more, 1 GB together at 100 MP.
    """
    width, height = image.size
    pixels = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, _ROWS_AT_ONCE):
        strip = image.crop((0, top, width, min(top + _ROWS_AT_ONCE, height)))
        pixels[top : top + strip.height] = np.asarray(strip if strip.mode == "RGB" else strip.convert("RGB"))
    return pixels


def stored_samples(image: ImageFile, data: bytes) -> tuple[int, bool]:
    """Reads from a header how a file stores its samples.

    Returns:
        Bits of one channel, 8 at least (AVIF: 8, whatever it stores), and whether there is one channel of
        colour only.
    """
    grey = image.mode in GREY_MODES
    if isinstance(image, TiffImageFile):
        return int(max(8, *image.tag_v2.get(_TAG_BITS_PER_SAMPLE, (8,)))), grey
    if image.format == "PNG":
        # 16-bit grey with alpha is the one kind that Pillow opens as colour.
        return max(8, data[_PNG_DEPTH_AT]), grey or data[_PNG_COLOUR_TYPE_AT] == _PNG_GREY_WITH_ALPHA
    return 8, grey


def split_alpha(
    image: Image.Image, bits: int, *, is_grey: bool
) -> tuple[Image.Image, NDArray[np.uint8] | None]:
    """Separates a loaded picture into colour and transparency.

    Args:
        image: Loaded; any mode of the accepted formats.
        bits: Of one channel, as `stored_samples` said.
        is_grey: The same.

    Returns:
        A picture of mode "L", "RGB", "CMYK" or "LAB", and uint8 (H, W) alpha, 0 transparent to 255 opaque;
        None when there is none or when all of it is opaque.

    Raises:
        UnsupportedFormat: Samples are signed, 32 bits or floating point: nothing says which value is white.
    """
    if image.mode.startswith("I;16"):
        return _sixteen_bit_grey(image, bits)
    if image.mode in ("I", "F"):
        raise UnsupportedFormat(
            "pixels are signed, 32-bit or floating-point numbers, and nothing says which value is white;"
            " convert the image to 8 or 16 bits"
        )
    if image.mode in _ALPHA_MODES or "transparency" in image.info:
        return _with_transparency(image, bits, is_grey=is_grey)
    if image.mode in ("L", "RGB", "CMYK", "LAB"):
        return image, None
    return image.convert("L" if image.mode == "1" else "RGB"), None


def _with_transparency(
    image: Image.Image, bits: int, *, is_grey: bool
) -> tuple[Image.Image, NDArray[np.uint8] | None]:
    key = image.info.get("transparency")
    if bits == 16 and isinstance(key, tuple):
        # Pillow keeps the high bytes of the pixels, but both bytes of the colour that is transparent.
        image.info["transparency"] = tuple(channel >> 8 for channel in key)
    rgba = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
    colour = rgba.getchannel("R") if is_grey else rgba.convert("RGB")
    return colour, _unless_opaque(np.asarray(rgba.getchannel("A")))


def _sixteen_bit_grey(image: Image.Image, bits: int) -> tuple[Image.Image, NDArray[np.uint8] | None]:
    """Scales by division with rounding, v * 255 / (2**bits - 1); `Image.convert` would clip at 255."""
    values = np.asarray(image)
    white = 2 ** min(bits, 16) - 1
    table = ((np.arange(65536, dtype=np.uint32) * 255 + white // 2) // white).clip(0, 255).astype(np.uint8)
    if isinstance(image, TiffImageFile) and image.tag_v2.get(_TAG_PHOTOMETRIC) == _WHITE_IS_ZERO:
        table = 255 - table  # Pillow inverts 8-bit pictures of this kind, 16-bit ones it does not
    key = image.info.get("transparency")
    alpha = None if key is None else np.where(values == key, 0, 255).astype(np.uint8)
    return Image.fromarray(table[values]), None if alpha is None else _unless_opaque(alpha)


def _unless_opaque(alpha: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    return None if bool((alpha == 255).all()) else alpha
