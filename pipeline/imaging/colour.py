"""Colour management: whatever colour space a picture is in becomes sRGB (IEC 61966-2-1)."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image, ImageCms

# Relative colorimetric keeps what both spaces can show; black point compensation keeps shadows apart.
_INTENT = ImageCms.Intent.RELATIVE_COLORIMETRIC
_FLAGS = ImageCms.Flags.BLACKPOINTCOMPENSATION
_MAX_PROFILE_BYTES = 8 * 2**20  # printer profiles reach 4 MB
_UNUSABLE = (ImageCms.PyCMSError, OSError, ValueError, TypeError)
_IGNORED = "the colour profile could not be used; colours were taken as {space}"


def to_srgb(image: Image.Image, icc_profile: bytes | None) -> tuple[Image.Image, str | None]:
    """Converts a picture to sRGB through its profile, or by its mode where there is none that works.

    Args:
        image: Mode "L", "RGB", "CMYK" or "LAB", 8 bits a channel.
        icc_profile: The embedded profile (ICC.1), if any.

    Returns:
        The picture, mode "L" (grey that stays neutral) or "RGB", and a note when the profile was ignored.
    """
    note = None
    if icc_profile:
        try:
            return _through_profile(image, icc_profile), None
        except _UNUSABLE:
            space = "sRGB" if image.mode in ("L", "RGB") else f"plain {image.mode}"
            note = _IGNORED.format(space=space)
    if image.mode == "LAB":
        return _transform(ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")), "LAB").apply(image), note
    return (image if image.mode in ("L", "RGB") else image.convert("RGB")), note


def in_own_space(
    image: Image.Image, icc_profile: bytes | None
) -> tuple[Image.Image, bytes | None, str | None]:
    """Leaves colour and grey as they are where their profile says what they look like; all else is sRGB.

    Args:
        image: As for `to_srgb`.
        icc_profile: The same.

    Returns:
        The picture, mode "L" or "RGB"; the profile that it is in, None for sRGB; a note as from `to_srgb`.
    """
    if icc_profile and image.mode in ("L", "RGB") and _describes(icc_profile, image.mode):
        return image, icc_profile, None
    srgb, note = to_srgb(image, icc_profile)
    return srgb, None, note


def _describes(icc_profile: bytes, mode: str) -> bool:
    try:
        _through_profile(Image.new(mode, (1, 1)), icc_profile)
    except _UNUSABLE:
        return False
    return True


def _through_profile(image: Image.Image, icc_profile: bytes) -> Image.Image:
    if len(icc_profile) > _MAX_PROFILE_BYTES:
        raise ValueError("profile too large")
    profile = ImageCms.ImageCmsProfile(io.BytesIO(icc_profile))
    if image.mode == "L":
        # 256 values need no optimised transform, which is off by 9 in the shadows of a linear profile. One
        # channel in, one out: the green of a ramp, so that rounding cannot tint a grey.
        exact = _transform(profile, "L", _FLAGS | ImageCms.Flags.NOOPTIMIZE)
        table = np.asarray(exact.apply(Image.fromarray(np.arange(256, dtype=np.uint8)[None, :])))[0, :, 1]
        return image.point(table.tolist())
    transform = _transform(profile, image.mode)
    if image.mode == "RGB" and _is_srgb(transform):
        return image
    return transform.apply(image)


def _transform(
    profile: ImageCms.ImageCmsProfile, mode: str, flags: ImageCms.Flags = _FLAGS
) -> ImageCms.ImageCmsTransform:
    # The sRGB profile is made anew each time (0.1 ms): profile handles are not shared between threads.
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    return ImageCms.ImageCmsTransform(profile, srgb, mode, "RGB", _INTENT, flags=flags)


def _is_srgb(transform: ImageCms.ImageCmsTransform) -> bool:
    """Whether a transform moves no colour by more than 1: then pictures keep their exact values."""
    steps = np.linspace(0, 255, 9).round().astype(np.uint8)
    grid: np.ndarray[Any, Any] = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(27, 27, 3)
    moved = np.asarray(transform.apply(Image.fromarray(grid)))
    return bool(np.abs(moved.astype(np.int16) - grid).max() <= 1)
