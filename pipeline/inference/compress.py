"""The `compress` operation: any accepted image to a .tri file, and how close it came."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from pipeline.codec.alpha import pack_alpha
from pipeline.codec.container import Extras, parse
from pipeline.core.errors import TargetUnreachable
from pipeline.core.operation import HandlerContext, ItemInput, ItemOutput
from pipeline.imaging.decode import DecodedImage
from pipeline.imaging.encode import preview
from pipeline.imaging.formats import EXTENSIONS, TYPES
from pipeline.inference.codecs import Codecs
from pipeline.inference.images import Images
from pipeline.inference.rate_control import Coded, coded
from pipeline.inference.stopwatch import Stopwatch
from pipeline.inference.warm_up import warm_up_codec
from pipeline.metrics.ms_ssim import ms_ssim
from pipeline.metrics.psnr import psnr_db
from pipeline.operations.compress import CompressParams, CompressReceipt

EMBEDDED_PREVIEW_PX = 256


@dataclass(frozen=True)
class Closeness:
    """How close a decoded picture is; None where a metric has no value."""

    psnr_db: float | None
    ms_ssim: float | None


class Compressor:
    """Codes with the artifact that its job has pinned."""

    def __init__(self, context: HandlerContext) -> None:
        codecs = Codecs(context)
        self._codec = codecs.pinned()
        self._images = Images(context, codecs)

    def warm_up(self) -> None:
        warm_up_codec(self._codec)

    def run(self, item: ItemInput) -> ItemOutput:
        params = cast("CompressParams", item.params)
        watch = Stopwatch()
        image = self._images.read(item.data, keep_profile="icc" in params.keep)
        watch.lap("read")
        result = self._coded(item, image, params)
        watch.lap("encode")
        decoded = None if result is None else self._decoded(result, item, params)
        closeness = _closeness(image, result, decoded, params)
        watch.lap("measure")
        after = image.pixels if decoded is None else decoded
        shown = {"before": image.pixels, "after": after} if item.sample else {}
        return ItemOutput(
            receipt=_receipt(
                item, image, result, closeness, digest=self._codec.digest, seconds=watch.seconds
            ),
            data=item.data if result is None else result.data,
            extension=EXTENSIONS[image.format] if result is None else None,
            content_type=TYPES[image.format] if result is None else TYPES["tri"],
            previews={role: preview(pixels, icc_profile=image.space) for role, pixels in shown.items()},
        )

    def _coded(self, item: ItemInput, image: DecodedImage, params: CompressParams) -> Coded | None:
        """The coded file; None when the original is to be kept."""
        keeps = params.fallback == "keep_original"
        try:
            result = coded(
                self._codec, image.pixels, params, is_grey=image.is_grey, extras=extras_of(image, params)
            )
        except TargetUnreachable:
            if keeps and len(item.data) <= (params.max_bytes or len(item.data)):
                return None
            raise
        return None if keeps and len(result.data) >= len(item.data) else result

    def _decoded(self, result: Coded, item: ItemInput, params: CompressParams) -> NDArray[np.uint8] | None:
        """What a reader of the file will see, where that is known or wanted."""
        if result.decoded is not None or not (item.sample or params.measure == "all"):
            return result.decoded
        return self._codec.decode(parse(result.data))


def extras_of(image: DecodedImage, params: CompressParams) -> Extras:
    """What stands in the file beside the picture: alpha always, the rest as asked."""
    return Extras(
        alpha=None if image.alpha is None else pack_alpha(image.alpha),
        icc=image.space,
        exif=image.exif if "exif" in params.keep else None,
        preview=preview(image.pixels, EMBEDDED_PREVIEW_PX, icc_profile=image.space)
        if params.preview
        else None,
    )


def _closeness(
    image: DecodedImage, result: Coded | None, decoded: NDArray[np.uint8] | None, params: CompressParams
) -> Closeness | None:
    """What is known, or wanted and at hand; None when nothing is."""
    if result is None or decoded is None:
        return None
    if params.measure == "none":  # a search for PSNR knows what it found
        return None if result.decoded is None else Closeness(result.psnr_db, None)
    known = result.psnr_db if result.decoded is not None else psnr_db(image.pixels, decoded)
    return Closeness(known, ms_ssim(image.pixels, decoded))


def _receipt(
    item: ItemInput,
    image: DecodedImage,
    result: Coded | None,
    closeness: Closeness | None,
    *,
    digest: str,
    seconds: dict[str, float],
) -> CompressReceipt:
    bytes_out = len(item.data if result is None else result.data)
    rounded = ("16-bit samples were rounded to 8 bits",) if image.bits > 8 and result is not None else ()
    return CompressReceipt(
        width_px=image.width_px,
        height_px=image.height_px,
        bytes_in=len(item.data),
        bytes_out=bytes_out,
        bpp=8 * bytes_out / (image.width_px * image.height_px),
        ratio=len(item.data) / bytes_out,
        measured=closeness is not None,
        psnr_db=None if closeness is None else closeness.psnr_db,
        ms_ssim=None if closeness is None else closeness.ms_ssim,
        quality=None if result is None else result.quality,
        kept_original=result is None,
        model=None if result is None else digest,
        notes=(*image.notes, *rounded),
        seconds=seconds,
    )
