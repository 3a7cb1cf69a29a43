"""Bytes to pixels for every operation: the formats of `imaging`, and `.tri` files through their codec."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.codec.alpha import unpack_alpha
from pipeline.codec.container import MAGIC, TriFile, parse, read_header
from pipeline.codec.tiling import Box
from pipeline.core.errors import ImageTooLarge, InputTooLarge, InvalidParams
from pipeline.core.operation import HandlerContext, Limits
from pipeline.imaging.colour import to_srgb
from pipeline.imaging.decode import DecodedImage, decode_image
from pipeline.imaging.planes import rgb_samples
from pipeline.inference.codecs import Codecs

REDUCTION = 8
Region = tuple[int, int, int, int]  # left, top, width, height in pixels


def is_tri(data: bytes) -> bool:
    """Whether these are the bytes of a .tri file (damaged or not)."""
    return data.startswith(MAGIC)


class Images:
    """What a handler reads its pictures with.

    Args:
        context: As the handler got it.
        codecs: Where codecs come from, if the handler has that already.
    """

    def __init__(self, context: HandlerContext, codecs: Codecs | None = None) -> None:
        self._limits = context.limits
        self._codecs = codecs or Codecs(context)

    def read(
        self, data: bytes, *, keep_profile: bool = False, least_side_px: int | None = None
    ) -> DecodedImage:
        """Decodes an image of any accepted format, `.tri` included.

        Args:
            data: The whole file.
            keep_profile: As for `decode_image`.
            least_side_px: The same.

        Raises:
            InvalidInput: As `decode_image`; CorruptBitstream for a damaged .tri file.
            ArtifactNotFound: Nobody has the model that wrote the .tri file.
        """
        if not is_tri(data):
            return decode_image(data, self._limits, keep_profile=keep_profile, least_side_px=least_side_px)
        image = decoded(parse_within(data, self._limits), self._codecs)
        return image if keep_profile or image.space is None else in_srgb(image)


def parse_within(data: bytes, limits: Limits) -> TriFile:
    """Parses a .tri file; what is too large is refused by its header, before anything is allocated.

    Raises:
        InputTooLarge: More bytes than allowed.
        ImageTooLarge: More pixels than allowed.
        CorruptBitstream: Not a .tri file, or a damaged one.
    """
    if len(data) > limits.max_bytes:
        raise InputTooLarge(f"the file has {len(data)} bytes; at most {limits.max_bytes} are allowed")
    header = read_header(data)
    pixels = header.width_px * header.height_px
    if pixels > limits.max_pixels:
        raise ImageTooLarge(
            f"the image is {header.width_px} x {header.height_px}, {pixels} pixels;"
            f" at most {limits.max_pixels} are allowed"
        )
    return parse(data)


def decoded(
    file: TriFile, codecs: Codecs, *, region: Region | None = None, reduced: bool = False
) -> DecodedImage:
    """Decodes a .tri file, in the space of the profile that it has kept, if any.

    Args:
        file: A parsed file.
        codecs: Where its codec comes from.
        region: Decode this part only.
        reduced: An eighth of width and height, rounded up, without the full decoder.

    Raises:
        InvalidParams: The region is not within the picture.
        CorruptBitstream: A part of the file that is needed is damaged.
        ArtifactNotFound: Nobody has the model that wrote the file.
    """
    codec = codecs.of(file.model)
    alpha = _alpha(file)
    if region is not None:
        box = box_within(region, file.width_px, file.height_px)
        pixels = codec.decode_region(file, box)
        alpha = None if alpha is None else np.ascontiguousarray(alpha[box.slices()])
    elif reduced:
        pixels = codec.decode_reduced(file)
        alpha = None if alpha is None else np.asarray(Image.fromarray(alpha).reduce(REDUCTION))
    else:
        pixels = codec.decode(file)
    return DecodedImage(
        pixels=pixels,
        alpha=alpha,
        is_grey=file.is_grey,
        icc_profile=file.extras.icc,
        format="tri",
        width_px=pixels.shape[1],
        height_px=pixels.shape[0],
        frames=1,
        bits=8,
        space=file.extras.icc,
        exif=file.extras.exif,
    )


def box_within(region: Region, width_px: int, height_px: int) -> Box:
    """A region as a box.

    Raises:
        InvalidParams: It is not within the picture.
    """
    left, top, width, height = region
    if left + width > width_px or top + height > height_px:
        raise InvalidParams(
            f"the region {left},{top},{width},{height} (left, top, width, height) is not within the picture,"
            f" which is {width_px} x {height_px}"
        )
    return Box(top, left, top + height, left + width)


def _alpha(file: TriFile) -> NDArray[np.uint8] | None:
    packed = file.extras.alpha
    return None if packed is None else unpack_alpha(packed, file.height_px, file.width_px)


def in_srgb(image: DecodedImage) -> DecodedImage:
    """A picture that was left in the space of its profile, in sRGB."""
    stored = Image.fromarray(image.pixels)
    srgb, note = to_srgb(stored.getchannel(0) if image.is_grey else stored, image.space)
    return replace(
        image,
        pixels=rgb_samples(srgb),
        space=None,
        notes=(*image.notes, *([note] if note else [])),
    )
