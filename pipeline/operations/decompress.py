"""decompress: a .tri file becomes a picture again."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pipeline.core.operation import Operation, Params, Result


class DecompressParams(Params):
    """The picture to write."""

    format: Literal["png", "jpeg", "webp"] = Field("png", description="format of the output")
    jpeg_quality: int = Field(92, ge=1, le=100, description="quality of JPEG or WebP output")


class DecompressReceipt(Result):
    """What one decoded file came to."""

    width_px: int
    height_px: int
    bytes_in: int
    bytes_out: int
    model: str = Field(description="digest of the artifact that wrote the file")
    seconds: dict[str, float] = Field(default_factory=dict, description="seconds a stage")


OPERATION = Operation(
    name="decompress",
    summary="Decode a .tri file into PNG, JPEG or WebP.",
    params=DecompressParams,
    result=DecompressReceipt,
    handler="pipeline.inference.decompress:Decompressor",
    artifacts=("compression",),
    output_extension=".png",
    seconds_per_item_hint=0.25,
)
