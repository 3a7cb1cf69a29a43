"""compress: an image becomes a smaller .tri file."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import ConfigDict, Field, model_validator

from pipeline.core.operation import Operation, Params, Result

DEFAULT_QUALITY = 50
_TARGETS = ("quality", "max_bytes", "min_psnr_db")


class CompressParams(Params):
    """How much to keep: one of `quality`, `max_bytes` and `min_psnr_db`."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"quality": 50},
                {"max_bytes": 100_000, "fallback": "keep_original"},
                {"min_psnr_db": 38, "keep": ["icc", "exif"]},
            ]
        }
    )

    quality: int | None = Field(
        None,
        ge=1,
        le=100,
        description=f"1 (smallest) to 100 (closest to the original); {DEFAULT_QUALITY} if no target is given",
    )
    max_bytes: int | None = Field(
        None, ge=1, description="the highest quality whose file has at most this many bytes"
    )
    min_psnr_db: float | None = Field(
        None, gt=0, le=100, description="the lowest quality whose RGB PSNR is at least this"
    )
    fallback: Literal["none", "keep_original"] = Field(
        "none",
        description="keep_original: where the .tri file would not be smaller than the input, or cannot be as "
        "close as min_psnr_db asks, the output is the input as it is",
    )
    keep: tuple[Literal["icc", "exif"], ...] = Field(
        (),
        max_length=2,
        description="metadata to keep byte for byte: icc, exif; without it, colours are sRGB",
    )
    preview: bool = Field(False, description="put a small WebP of the picture into the file")
    measure: Literal["none", "sample", "all"] = Field(
        "sample",
        description="of which items PSNR and MS-SSIM are measured, which costs a decoding each: none, those "
        "that the report shows (48 at most), or all",
    )

    @model_validator(mode="after")
    def _one_target(self) -> Self:
        given = [name for name in _TARGETS if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"give one of {', '.join(_TARGETS)}, not {' and '.join(given)} together")
        return self


class CompressReceipt(Result):
    """What one compressed image came to."""

    width_px: int
    height_px: int
    bytes_in: int
    bytes_out: int
    bpp: float = Field(description="bits of the output a pixel")
    ratio: float = Field(description="bytes_in / bytes_out")
    measured: bool = Field(False, description="whether the file was decoded and compared with the original")
    psnr_db: float | None = Field(
        None, description="RGB PSNR; null when not measured, or when nothing differs"
    )
    ms_ssim: float | None = Field(
        None, description="RGB MS-SSIM; null when not measured, or a side is below 161 px"
    )
    quality: int | None = Field(description="the quality used or found; null when the original was kept")
    kept_original: bool = Field(False, description="the output is the input, byte for byte")
    model: str | None = Field(description="digest of the artifact; null when the original was kept")
    notes: tuple[str, ...] = Field((), description="what was forgiven or rounded on the way")
    seconds: dict[str, float] = Field(default_factory=dict, description="seconds a stage")


OPERATION = Operation(
    name="compress",
    summary="Compress an image into a .tri file with a learned codec.",
    params=CompressParams,
    result=CompressReceipt,
    handler="pipeline.inference.compress:Compressor",
    artifacts=("compression",),
    output_extension=".tri",
    makes_picture=True,
    seconds_per_item_hint=0.25,
)
