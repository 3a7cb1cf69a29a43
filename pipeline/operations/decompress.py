"""decompress: a .tri file becomes a picture again."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from pipeline.core.operation import Operation, Params, Result

Place = Annotated[int, Field(ge=0)]
Length = Annotated[int, Field(ge=1)]


class DecompressParams(Params):
    """The picture to write."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"format": "jpeg", "jpeg_quality": 90},
                {"region": [1024, 512, 640, 480]},
                {"reduced": True, "format": "webp"},
            ]
        }
    )

    format: Literal["png", "jpeg", "webp", "tiff"] = Field("png", description="format of the output")
    jpeg_quality: int = Field(92, ge=1, le=100, description="quality of JPEG or WebP output")
    region: tuple[Place, Place, Length, Length] | None = Field(
        None, description="left, top, width, height in pixels: decode this part only"
    )
    reduced: bool = Field(False, description="an eighth of width and height, without the full decoder")

    @model_validator(mode="after")
    def _one_view(self) -> Self:
        if self.region is not None and self.reduced:
            raise ValueError("give region or reduced, not both")
        return self


class DecompressReceipt(Result):
    """What one decoded file came to."""

    width_px: int = Field(description="of the picture written")
    height_px: int = Field(description="of the picture written")
    bytes_in: int
    bytes_out: int
    model: str | None = Field(
        description="digest of the artifact that wrote the file; null where compress had kept the original"
    )
    seconds: dict[str, float] = Field(default_factory=dict, description="seconds a stage")


OPERATION = Operation(
    name="decompress",
    summary="Decode a .tri file into PNG, JPEG, WebP or TIFF.",
    params=DecompressParams,
    result=DecompressReceipt,
    handler="pipeline.inference.decompress:Decompressor",
    artifacts=("compression",),
    output_extension=".png",
    makes_picture=True,
    seconds_per_item_hint=0.25,
)
