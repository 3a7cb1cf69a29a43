"""Pixels to PNG, JPEG, WebP or TIFF bytes, and the small previews of reports and .tri files."""

from __future__ import annotations

import io
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.core.errors import ImageTooLarge, InternalError
from pipeline.imaging.colour import to_srgb
from pipeline.imaging.exif import APP1_PREFIX, upright

EncodedFormat = Literal["png", "jpeg", "webp", "tiff"]
CONTENT_TYPES = MappingProxyType({name: f"image/{name}" for name in ("png", "jpeg", "webp", "tiff")})

_MAX_SIDE_PX = {"png": 2**31 - 1, "jpeg": 65_500, "webp": 16_383, "tiff": 2**31 - 1}
_MAX_JPEG_EXIF_BYTES = 65_527  # one APP1 segment, without its length and "Exif"
_FULL_CHROMA_FROM_QUALITY = 90  # below that, halved chroma planes cost less than what they save
_PREVIEW_QUALITY, _PREVIEW_METHOD = 75, 2  # the default method, 4, takes three times as long for 3 % less
# Best Huffman tables (2 to 5 % smaller) need every coefficient at once: 600 MB at 100 MP.
_OPTIMISED_UP_TO_PIXELS = 16_000_000


def encode_image(
    pixels: NDArray[np.uint8],
    format: EncodedFormat,  # noqa: A002 - the word that users write
    *,
    quality: int = 92,
    alpha: NDArray[np.uint8] | None = None,
    grey: bool = False,
    icc_profile: bytes | None = None,
    exif: bytes | None = None,
) -> bytes:
    """Encodes pixels. A file without a profile is sRGB to every reader.

    Args:
        pixels: uint8 (H, W, 3), RGB, upright.
        format: "png", "tiff" (lossless), "jpeg" or "webp" (lossy).
        quality: 1 to 100; without meaning for PNG and TIFF.
        alpha: uint8 (H, W), 0 transparent to 255 opaque. JPEG has none: there the picture is laid over white.
        grey: Write one channel (in WebP, which has no such form, three equal ones).
        icc_profile: The space of `pixels` (of its one channel, if grey), written byte for byte; None is sRGB.
        exif: An EXIF block, written with its orientation set to upright. Left out where it is damaged, where
            it is longer than JPEG allows in a JPEG, and of TIFF, which would spread it over the file.

    Raises:
        ImageTooLarge: The format cannot hold a side this long.
        InternalError: Pillow refused for another reason.
        ValueError: Wrong dtype or shape.
    """
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
        raise ValueError(f"pixels must be uint8 (H, W, 3), not {pixels.dtype} {pixels.shape}")
    if alpha is not None and (alpha.dtype != np.uint8 or alpha.shape != pixels.shape[:2]):
        raise ValueError(f"alpha must be uint8 {pixels.shape[:2]}, not {alpha.dtype} {alpha.shape}")
    if max(pixels.shape) > _MAX_SIDE_PX[format]:
        raise ImageTooLarge(
            f"{format.upper()} holds at most {_MAX_SIDE_PX[format]} pixels a side, and the image is"
            f" {pixels.shape[1]} x {pixels.shape[0]}; choose png"
        )
    image = _grey(pixels) if grey else Image.fromarray(pixels)
    if grey and icc_profile and format == "webp":  # a profile of grey would stand beside three channels
        image, icc_profile = to_srgb(image, icc_profile)[0].convert("RGB"), None
    if alpha is not None:
        image = _with_alpha(image, Image.fromarray(alpha), flatten=format == "jpeg")
    metadata = {"icc_profile": icc_profile, "exif": _fitting(exif, format)}
    return _saved(image, format, quality, **{name: value for name, value in metadata.items() if value})


def preview(pixels: NDArray[np.uint8], max_side_px: int = 320, *, icc_profile: bytes | None = None) -> bytes:
    """A small sRGB WebP: at most `max_side_px` a side, never enlarged, sides of 1 px at least.

    Args:
        pixels: uint8 (H, W, 3), RGB.
        max_side_px: Longest side of the preview.
        icc_profile: The space of `pixels`; None is sRGB. One of grey describes their first channel.
    """
    image = Image.fromarray(pixels)
    image.thumbnail((max_side_px, max_side_px), Image.Resampling.LANCZOS, reducing_gap=3.0)
    return _saved(_shown(image, icc_profile), "webp", _PREVIEW_QUALITY, method=_PREVIEW_METHOD)


def _shown(image: Image.Image, icc_profile: bytes | None) -> Image.Image:
    if icc_profile is None:
        return image
    one_channel = icc_profile[16:20] == b"GRAY"  # ICC.1, the header's data colour space
    return to_srgb(image.getchannel(0) if one_channel else image, icc_profile)[0].convert("RGB")


def _grey(pixels: NDArray[np.uint8]) -> Image.Image:
    """One channel: the planes themselves where they are equal, as they are for all that is marked grey."""
    return Image.fromarray(np.ascontiguousarray(pixels[:, :, 0]))


def _with_alpha(image: Image.Image, alpha: Image.Image, *, flatten: bool) -> Image.Image:
    if flatten:
        return Image.composite(image, Image.new(image.mode, image.size, "white"), alpha)
    image.putalpha(alpha)
    return image


def _fitting(exif: bytes | None, image_format: str) -> bytes | None:
    if exif is None or image_format == "tiff":
        return None
    turned = upright(exif)
    if image_format != "jpeg" or turned is None:
        return turned
    return None if len(turned) > _MAX_JPEG_EXIF_BYTES else APP1_PREFIX + turned


def _saved(image: Image.Image, image_format: str, quality: int, **more: bytes | int) -> bytes:
    options: dict[str, Any] = {}
    if image_format == "jpeg":
        subsampling = "4:4:4" if quality >= _FULL_CHROMA_FROM_QUALITY else "4:2:0"
        optimize = image.width * image.height <= _OPTIMISED_UP_TO_PIXELS
        options = {"quality": quality, "subsampling": subsampling, "optimize": optimize}
    elif image_format == "webp":
        options = {"quality": quality}
    elif image_format == "tiff":
        options = {"compression": "tiff_adobe_deflate"}
    buffer = io.BytesIO()
    try:
        image.save(buffer, image_format, **options, **more)
    except (OSError, ValueError) as error:
        raise InternalError(f"the image could not be written as {image_format}: {error}") from error
    return buffer.getvalue()
