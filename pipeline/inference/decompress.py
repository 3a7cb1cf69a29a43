"""The `decompress` operation: a .tri file to PNG, JPEG, WebP or TIFF."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import numpy as np
from PIL import Image

from pipeline.core.errors import CorruptBitstream, UndecodableImage, UnsupportedFormat
from pipeline.core.operation import HandlerContext, ItemInput, ItemOutput
from pipeline.imaging.decode import DecodedImage
from pipeline.imaging.encode import CONTENT_TYPES, encode_image, preview
from pipeline.imaging.formats import EXTENSIONS, sniff
from pipeline.inference.codecs import Codecs
from pipeline.inference.images import REDUCTION, Images, box_within, decoded, is_tri, parse_within
from pipeline.inference.stopwatch import Stopwatch
from pipeline.inference.warm_up import warm_up_codec
from pipeline.operations.decompress import DecompressParams, DecompressReceipt


class Decompressor:
    """Decodes files of any model that can be found, and converts originals that `compress` has kept."""

    def __init__(self, context: HandlerContext) -> None:
        self._limits = context.limits
        self._codecs = Codecs(context)
        self._images = Images(context, self._codecs)

    def warm_up(self) -> None:
        warm_up_codec(self._codecs.pinned())

    def run(self, item: ItemInput) -> ItemOutput:
        params = cast("DecompressParams", item.params)
        watch = Stopwatch()
        image, model = self._view(item.data, params)
        watch.lap("decode")
        data = encode_image(
            image.pixels,
            params.format,
            quality=params.jpeg_quality,
            alpha=image.alpha,
            grey=image.is_grey,
            icc_profile=image.space,
            exif=image.exif,
        )
        watch.lap("write")
        receipt = DecompressReceipt(
            width_px=image.width_px,
            height_px=image.height_px,
            bytes_in=len(item.data),
            bytes_out=len(data),
            model=model,
            seconds=watch.seconds,
        )
        return ItemOutput(
            receipt=receipt,
            data=data,
            extension=EXTENSIONS[params.format],
            content_type=CONTENT_TYPES[params.format],
            previews={"after": preview(image.pixels, icc_profile=image.space)} if item.sample else {},
        )

    def _view(self, data: bytes, params: DecompressParams) -> tuple[DecodedImage, str | None]:
        """The picture or the part of it that was asked for, and the digest of the model that wrote it."""
        if is_tri(data):
            file = parse_within(data, self._limits)
            image = decoded(file, self._codecs, region=params.region, reduced=params.reduced)
            return image, self._codecs.of(file.model).digest
        try:
            sniff(data)
        except (UnsupportedFormat, UndecodableImage) as error:
            raise CorruptBitstream("not a .tri file") from error
        # Nobody asked for this file's metadata to be kept.
        return _part(replace(self._images.read(data), exif=None), params), None


def _part(image: DecodedImage, params: DecompressParams) -> DecodedImage:
    """The same view of an original as of a .tri file."""
    planes = [image.pixels] if image.alpha is None else [image.pixels, image.alpha]
    if params.region is not None:
        box = box_within(params.region, image.width_px, image.height_px)
        planes = [np.ascontiguousarray(plane[box.slices()]) for plane in planes]
    elif params.reduced:
        planes = [np.asarray(Image.fromarray(plane).reduce(REDUCTION)) for plane in planes]
    height, width = planes[0].shape[:2]
    alpha = planes[1] if len(planes) > 1 else None
    return replace(image, pixels=planes[0], alpha=alpha, width_px=width, height_px=height)
