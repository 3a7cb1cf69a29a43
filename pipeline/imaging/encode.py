"""Pixels to PNG, JPEG or WebP bytes, and the small previews of reports."""

from __future__ import annotations

import io
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.core.errors import ImageTooLarge, InternalError

EncodedFormat = Literal["png", "jpeg", "webp"]
CONTENT_TYPES = MappingProxyType({"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"})

_MAX_SIDE_PX = {"png": 2**31 - 1, "jpeg": 65_500, "webp": 16_383}
_FULL_CHROMA_FROM_QUALITY = 90  # below that, halved chroma planes cost less than what they save
_PREVIEW_QUALITY = 75


def encode_image(
    pixels: NDArray[np.uint8],
    format: EncodedFormat,  # noqa: A002 - the word that users write
    *,
    quality: int = 92,
    alpha: NDArray[np.uint8] | None = None,
    grey: bool = False,
) -> bytes:
    """Encodes sRGB pixels. No metadata is written; a file without a profile is sRGB to every reader.

    Args:
        pixels: uint8 (H, W, 3), RGB, sRGB.
        format: "png" (lossless), "jpeg" or "webp" (lossy).
        quality: 1 to 100; without meaning for PNG.
        alpha: uint8 (H, W), 0 transparent to 255 opaque. JPEG has none: there the picture is laid over white.
        grey: Write one channel (in WebP, which has no such form, three equal ones).

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
    image = Image.fromarray(pixels)
    if alpha is not None:
        image = _with_alpha(image, Image.fromarray(alpha), flatten=format == "jpeg")
    if grey:
        image = image.convert("L" if image.mode == "RGB" else "LA")
    return _saved(image, format, quality)


def preview(pixels: NDArray[np.uint8], max_side_px: int = 320) -> bytes:
    """A small WebP for reports: at most `max_side_px` a side, never enlarged, sides of 1 px at least.

    Args:
        pixels: uint8 (H, W, 3), RGB, sRGB.
        max_side_px: Longest side of the preview.
    """
    image = Image.fromarray(pixels)
    image.thumbnail((max_side_px, max_side_px), Image.Resampling.LANCZOS, reducing_gap=3.0)
    return _saved(image, "webp", _PREVIEW_QUALITY)


def _with_alpha(image: Image.Image, alpha: Image.Image, *, flatten: bool) -> Image.Image:
    if flatten:
        return Image.composite(image, Image.new("RGB", image.size, (255, 255, 255)), alpha)
    image.putalpha(alpha)
    return image


def _saved(image: Image.Image, image_format: str, quality: int) -> bytes:
    buffer = io.BytesIO()
    try:
        if image_format == "png":
            image.save(buffer, "PNG")
        elif image_format == "jpeg":
            subsampling = "4:4:4" if quality >= _FULL_CHROMA_FROM_QUALITY else "4:2:0"
            image.save(buffer, "JPEG", quality=quality, subsampling=subsampling, optimize=True)
        else:
            image.save(buffer, "WEBP", quality=quality)
    except (OSError, ValueError) as error:
        raise InternalError(f"the image could not be written as {image_format}: {error}") from error
    return buffer.getvalue()
