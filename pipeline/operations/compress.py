"""compress: an image becomes a smaller .tri file."""

from __future__ import annotations

from pydantic import Field

from pipeline.core.operation import Operation, Params, Result


class CompressParams(Params):
    """How much to keep."""

    quality: int = Field(50, ge=1, le=100, description="1 (smallest file) to 100 (closest to the original)")


class CompressReceipt(Result):
    """What one compressed image came to."""

    width_px: int
    height_px: int
    bytes_in: int
    bytes_out: int
    bpp: float = Field(description="bits of the .tri file a pixel")
    ratio: float = Field(description="bytes_in / bytes_out")
    psnr_db: float | None = Field(description="RGB PSNR of the decoded image; null when it is lossless")
    quality: int
    model: str = Field(description="digest of the artifact")
    seconds: dict[str, float] = Field(default_factory=dict, description="seconds a stage")


OPERATION = Operation(
    name="compress",
    summary="Compress an image into a .tri file with a learned codec.",
    params=CompressParams,
    result=CompressReceipt,
    handler="pipeline.inference.compress:Compressor",
    artifacts=("compression",),
    output_extension=".tri",
    seconds_per_item_hint=0.25,
)
