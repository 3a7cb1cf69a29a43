"""The `compress` operation: any accepted image to a .tri file, and how close it came."""

from __future__ import annotations

from typing import cast

from pipeline.codec.alpha import pack_alpha
from pipeline.codec.container import Extras, parse
from pipeline.core.operation import HandlerContext, ItemInput, ItemOutput
from pipeline.imaging.decode import decode_image
from pipeline.imaging.encode import preview
from pipeline.inference.stopwatch import Stopwatch
from pipeline.inference.tri_codec import TriCodec
from pipeline.inference.warm_up import warm_up_codec
from pipeline.metrics.psnr import psnr_db
from pipeline.operations.compress import CompressParams, CompressReceipt

CONTENT_TYPE = "application/vnd.triptych.tri"


class Compressor:
    """Encodes, then decodes what it wrote, so that the receipt's PSNR is a measured one."""

    def __init__(self, context: HandlerContext) -> None:
        self._limits = context.limits
        self._codec = TriCodec.from_artifact(
            context.artifacts["compression"], context.device, context.device_index
        )

    def warm_up(self) -> None:
        warm_up_codec(self._codec)

    def run(self, item: ItemInput) -> ItemOutput:
        params = cast("CompressParams", item.params)
        watch = Stopwatch()
        image = decode_image(item.data, self._limits)
        watch.lap("read")
        extras = Extras(alpha=None if image.alpha is None else pack_alpha(image.alpha))
        file = self._codec.encode(image.pixels, params.quality, is_grey=image.is_grey, extras=extras)
        coded = file.to_bytes()
        watch.lap("encode")
        decoded = self._codec.decode(parse(coded))
        psnr = psnr_db(image.pixels, decoded)
        watch.lap("verify")
        previews = {"before": preview(image.pixels), "after": preview(decoded)} if item.sample else {}
        receipt = CompressReceipt(
            width_px=image.width_px,
            height_px=image.height_px,
            bytes_in=len(item.data),
            bytes_out=len(coded),
            bpp=8 * len(coded) / (image.width_px * image.height_px),
            ratio=len(item.data) / len(coded),
            psnr_db=psnr,
            quality=params.quality,
            model=self._codec.digest,
            seconds=watch.seconds,
        )
        return ItemOutput(receipt=receipt, data=coded, content_type=CONTENT_TYPE, previews=previews)
