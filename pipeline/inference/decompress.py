"""The `decompress` operation: a .tri file to PNG, JPEG or WebP."""

from __future__ import annotations

from typing import cast

from pipeline.codec.alpha import unpack_alpha
from pipeline.codec.container import TriFile, parse
from pipeline.core.errors import ImageTooLarge, InputTooLarge
from pipeline.core.operation import HandlerContext, ItemInput, ItemOutput, Limits
from pipeline.imaging.encode import CONTENT_TYPES, encode_image, preview
from pipeline.inference.stopwatch import Stopwatch
from pipeline.inference.tri_codec import TriCodec
from pipeline.inference.warm_up import warm_up_codec
from pipeline.operations.decompress import DecompressParams, DecompressReceipt

_EXTENSIONS = {"png": ".png", "jpeg": ".jpg", "webp": ".webp"}


class Decompressor:
    """Decodes files of the artifact that its job has pinned."""

    def __init__(self, context: HandlerContext) -> None:
        self._limits = context.limits
        self._codec = TriCodec.from_artifact(
            context.artifacts["compression"], context.device, context.device_index
        )

    def warm_up(self) -> None:
        warm_up_codec(self._codec)

    def run(self, item: ItemInput) -> ItemOutput:
        params = cast("DecompressParams", item.params)
        watch = Stopwatch()
        file = _parse_within(item.data, self._limits)
        pixels = self._codec.decode(file)
        packed = file.extras.alpha
        alpha = None if packed is None else unpack_alpha(packed, file.height_px, file.width_px)
        watch.lap("decode")
        data = encode_image(
            pixels, params.format, quality=params.jpeg_quality, alpha=alpha, grey=file.is_grey
        )
        watch.lap("write")
        receipt = DecompressReceipt(
            width_px=file.width_px,
            height_px=file.height_px,
            bytes_in=len(item.data),
            bytes_out=len(data),
            model=self._codec.digest,
            seconds=watch.seconds,
        )
        return ItemOutput(
            receipt=receipt,
            data=data,
            extension=_EXTENSIONS[params.format],
            content_type=CONTENT_TYPES[params.format],
            previews={"after": preview(pixels)} if item.sample else {},
        )


def _parse_within(data: bytes, limits: Limits) -> TriFile:
    """Parses, and refuses what is too large before anything of that size is allocated."""
    if len(data) > limits.max_bytes:
        raise InputTooLarge(f"the file has {len(data)} bytes; at most {limits.max_bytes} are allowed")
    file = parse(data)
    if file.width_px * file.height_px > limits.max_pixels:
        size = f"{file.width_px} x {file.height_px}"
        raise ImageTooLarge(f"the picture is {size}; at most {limits.max_pixels} pixels are allowed")
    return file
