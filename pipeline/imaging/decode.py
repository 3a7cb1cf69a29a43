"""Image bytes in, sRGB pixels out. Hostile bytes end in a typed error, never in half a picture.

    bytes -> sniff -> structure -> header -> limits -> pixels -> upright -> alpha split -> sRGB -> arrays

Nothing is allocated for pixels before the limits were checked against the header. docs/images.md says for
users what becomes of each kind of picture.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.ImageFile import ImageFile
from PIL.TiffImagePlugin import TiffImageFile

from pipeline.core.errors import ImageTooLarge, InputTooLarge, UndecodableImage, UnsupportedFormat
from pipeline.core.operation import Limits
from pipeline.imaging import structure
from pipeline.imaging.colour import in_own_space, to_srgb
from pipeline.imaging.exif import exif_of
from pipeline.imaging.formats import ACCEPTED, READERS, sniff
from pipeline.imaging.pillow_errors import translated
from pipeline.imaging.planes import rgb_samples, split_alpha, stored_samples

_TAG_TILE_WIDTH, _TAG_TILE_LENGTH, _TAG_ORIENTATION = 322, 323, 274
_TAG_NEW_SUBFILE_TYPE, _TAG_SUB_IFDS, _TAG_DNG_VERSION = 254, 330, 50706
_CR2 = b"CR"  # at byte 8 of Canon's raw files
_SCANS_AT_FULL_SIZE = 64  # progressive encoders write about 10; each scan goes over all coefficients again

# EXIF 2.32, tag 274: what turns the stored picture upright.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class DecodedImage:
    """A picture, upright and in sRGB (or, when that was asked for, in the space of its own profile).

    Attributes:
        pixels: uint8 (H, W, 3), RGB, C-contiguous, read-only; fewer than the source's where that was asked
            for.
        alpha: uint8 (H, W), 0 transparent to 255 opaque, not premultiplied; None when all is opaque.
        is_grey: The source stores one channel; the three planes of `pixels` are equal.
        icc_profile: The source's own profile as embedded, also where `pixels` are no longer in it.
        format: "jpeg", "png", "webp", "tiff", "bmp", "gif", "avif" or "tri".
        width_px: Width of the source, upright.
        height_px: Height of the source, upright.
        frames: Frames or pages of the source; `pixels` are the first.
        bits: 8 or 16: what the source stores a channel in (9 to 16 count as 16).
        notes: Sentences on what was forgiven, for the receipt.
        space: The profile that `pixels` are in; None is sRGB.
        exif: The source's EXIF block, a TIFF structure as it was: its orientation is that of the source.
    """

    pixels: NDArray[np.uint8]
    alpha: NDArray[np.uint8] | None
    is_grey: bool
    icc_profile: bytes | None
    format: str
    width_px: int
    height_px: int
    frames: int
    bits: int
    notes: tuple[str, ...] = ()
    space: bytes | None = None
    exif: bytes | None = None


def decode_image(
    data: bytes, limits: Limits, *, keep_profile: bool = False, least_side_px: int | None = None
) -> DecodedImage:
    """Decodes the first frame of an image file; of `.tri` files `pipeline/inference/images.py` takes care.

    Args:
        data: The whole file. Its name does not matter.
        limits: Caps, checked before any pixel is decoded.
        keep_profile: Leave colour and grey values in the space of their profile, where it has one that
            works. CMYK and CIELAB become sRGB all the same.
        least_side_px: Sides of so many pixels are enough: a JPEG may be decoded at a half, a quarter or an
            eighth of its size, which is ten times faster for a photo of 12 megapixels.

    Raises:
        InputTooLarge: More bytes than `limits.max_bytes`.
        UnsupportedFormat: Not one of the accepted formats, or samples without a defined white.
        ImageTooLarge: More pixels or frames than allowed, or too costly to decode.
        UndecodableImage: Damaged, cut short or malformed.
    """
    if len(data) > limits.max_bytes:
        raise InputTooLarge(f"the file has {len(data)} bytes; at most {limits.max_bytes} are allowed")
    image_format = sniff(data)
    frames = structure.frames(data, image_format, limits.max_frames)
    with translated(image_format):
        image = READERS[image_format](io.BytesIO(data))
        bits, is_grey = stored_samples(image, data)
        if image_format == "avif":  # the one format whose structure only its library walks
            frames = getattr(image, "n_frames", 1)
    _refuse_raw(image, data)
    _check_limits(image, data, frames, limits)
    icc_profile, exif = image.info.get("icc_profile") or None, exif_of(image)
    with translated(image_format):
        full = _reduce(image, least_side_px)
        image.load()
        upright, exif_note = _turn_upright(image)
        if full is not None and upright.size != image.size:
            full = full[::-1]
        del image
        colour, alpha = split_alpha(upright, bits, is_grey=is_grey)
        del upright  # at 100 MP each of these holds 400 MB
        space = None
        if keep_profile:
            managed, space, profile_note = in_own_space(colour, icc_profile)
        else:
            managed, profile_note = to_srgb(colour, icc_profile)
        del colour
        pixels = rgb_samples(managed)
    return DecodedImage(
        pixels=_frozen(pixels),
        alpha=None if alpha is None else _frozen(alpha),
        is_grey=is_grey,
        icc_profile=icc_profile,
        format=image_format,
        width_px=full[0] if full else pixels.shape[1],
        height_px=full[1] if full else pixels.shape[0],
        frames=frames,
        bits=8 if bits <= 8 else 16,
        notes=tuple(note for note in (exif_note, profile_note) if note),
        space=space,
        exif=exif,
    )


def _refuse_raw(image: ImageFile, data: bytes) -> None:
    """Camera raw files that are TIFF files (DNG, NEF, ARW, CR2) have a thumbnail as their first picture.

    It would pass for the photo. Plain TIFF files begin with the picture itself.
    """
    if not isinstance(image, TiffImageFile):
        return
    tags = image.tag_v2
    kind = tags.get(_TAG_NEW_SUBFILE_TYPE, 0)
    reduced = isinstance(kind, int) and kind & 1 == 1
    if _TAG_DNG_VERSION in tags or (reduced and _TAG_SUB_IFDS in tags) or data[8:10] == _CR2:
        raise UnsupportedFormat(f"this is a camera's raw file; accepted are {ACCEPTED}")


def _check_limits(image: ImageFile, data: bytes, frames: int, limits: Limits) -> None:
    width, height = image.size
    pixels = width * height
    if pixels > limits.max_pixels:
        raise ImageTooLarge(
            f"the image is {width} x {height}, {pixels} pixels; at most {limits.max_pixels} are allowed"
        )
    if frames > limits.max_frames:
        raise ImageTooLarge(f"the image has more than {limits.max_frames} frames")
    scans = structure.jpeg_scans(data) if image.format == "JPEG" else 0
    if scans * pixels > _SCANS_AT_FULL_SIZE * limits.max_pixels:
        raise ImageTooLarge("the JPEG file has too many scans for its size")
    if isinstance(image, TiffImageFile):
        tile_pixels = image.tag_v2.get(_TAG_TILE_WIDTH, 1) * image.tag_v2.get(_TAG_TILE_LENGTH, 1)
        if not isinstance(tile_pixels, int) or tile_pixels > limits.max_pixels:
            raise UndecodableImage("the TIFF file has tiles of an absurd size")


def _reduce(image: ImageFile, least_side_px: int | None) -> tuple[int, int] | None:
    """Has a JPEG decoded smaller, by its own blocks; returns its full size if so."""
    size = image.size
    if image.format != "JPEG" or least_side_px is None:
        return None
    image.draft(None, (least_side_px, least_side_px))  # never below that  # type: ignore[arg-type]
    return None if image.size == size else size


def _turn_upright(image: ImageFile) -> tuple[Image.Image, str | None]:
    """Applies the EXIF orientation (Pillow has done so itself for TIFF). Bad EXIF costs a note, no more."""
    if isinstance(image, TiffImageFile):
        return image, None
    try:
        orientation = image.getexif().get(_TAG_ORIENTATION)
    except Exception:  # noqa: BLE001 - a parser on hostile bytes may raise anything; the picture is whole
        return image, "the EXIF data is damaged; it was ignored"
    method = _UPRIGHT.get(orientation) if isinstance(orientation, int) else None
    return (image if method is None else image.transpose(method)), None


def _frozen(array: NDArray[np.uint8]) -> NDArray[np.uint8]:
    array = np.ascontiguousarray(array)
    array.setflags(write=False)
    return array
