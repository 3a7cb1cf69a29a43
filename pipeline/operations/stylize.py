"""stylize: an image is painted in the style of others."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints, ValidationInfo, field_validator

from pipeline.core.operation import Installed, Operation, Params, Result

# The built-in styles: pipeline/artifacts/gallery/NAME.jpg.
GALLERY = (
    *("charcoal", "dots", "glass", "marble", "meadow", "mosaic"),
    *("night", "shapes", "watercolour", "wave", "weave", "woodcut"),
)
MODELS = {"standard": "stylization", "fast": "stylization_fast"}  # the artifact of each
MAX_STYLES = 16
_NAME = re.compile(r"^[A-Za-z0-9_-]*$", re.ASCII)
_UPLOAD = "upl_"


def in_gallery(style: str) -> bool:
    """Whether a style is a name of the gallery: a word without dots and slashes, as no key should be."""
    return _NAME.fullmatch(style) is not None and not style.startswith(_UPLOAD)


def _known(style: str) -> str:
    if in_gallery(style) and style not in GALLERY:
        raise ValueError(
            f"no style {style!r} in the gallery, which has {', '.join(GALLERY)};"
            " anything else is the key of an object, with a dot or a slash in it, or a file of an upload"
        )
    return style


# What the command line may turn into an upload, if it is a file there.
_OBJECT = {"format": "object"}
Reference = Annotated[str, StringConstraints(min_length=1, max_length=1024), Field(json_schema_extra=_OBJECT)]
Style = Annotated[Reference, AfterValidator(_known)]
Weight = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class StylizeParams(Params):
    """Which styles, how much of them, and where."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"styles": ["wave"]},
                {"styles": ["night", "owners/ann/styles/mine.jpg"], "style_weights": [2, 1], "strength": 0.7},
                {"styles": ["glass"], "mask": ["owners/ann/masks/sky.png"], "preserve_colors": "luma"},
            ]
        }
    )

    styles: tuple[Style, ...] = Field(
        max_length=MAX_STYLES,
        json_schema_extra={"minItems": 1},  # checked below: pydantic would count what is left of wrong ones
        description="names of the built-in gallery ("
        + ", ".join(GALLERY)
        + "), keys of objects, or files of "
        "uploads (upl_.../page/place)",
    )
    style_weights: tuple[Weight, ...] | None = Field(
        None,
        max_length=MAX_STYLES,
        description="how much of each style is mixed in; equal parts if not given",
    )
    alpha: Share | None = Field(
        None, description="weight of the picture's own state; 1 - beta if only that is given"
    )
    beta: Share | None = Field(
        None, description="weight of the restyled state; 1 - alpha if only that is given"
    )
    strength: Share | None = Field(
        None, description="the simple form of both: alpha = 1 - strength, beta = strength; 1 if none is given"
    )
    preserve_colors: Literal["none", "luma", "matched"] = Field(
        "none",
        description="luma: the picture's own colours, the styles' brightness and texture; matched: each "
        "style's colours are first brought to the picture's (one encoding of each style an item)",
    )
    stroke_scale: float = Field(
        1.0,
        ge=0.5,
        le=4,
        allow_inf_nan=False,
        description="size of strokes: painted at 1 / stroke_scale of the size, then resized to it",
    )
    mask: tuple[Reference, ...] = Field(
        (),
        max_length=MAX_STYLES,
        description="which style goes where, keys or files of uploads: for several styles one label image "
        "(0, 1, 2, ... or black to white in even steps), or one grey mask a style; what no mask covers stays "
        "as it is",
    )
    mask_feather_px: int = Field(8, ge=0, le=512, description="how softly regions meet")
    model: Literal["standard", "fast"] = Field(
        "standard", description="fast: less than half of the time, coarser; a job has one model"
    )
    max_side_px: int | None = Field(
        None,
        ge=16,
        le=65_500,
        description="make larger pictures smaller first; smaller ones stay as they are",
    )
    format: Literal["auto", "png", "jpeg", "webp", "tiff"] = Field(
        "auto", description="format of the output; auto: JPEG, or PNG where the picture has transparency"
    )
    jpeg_quality: int = Field(92, ge=1, le=100, description="quality of JPEG or WebP output")
    keep: tuple[Literal["icc", "exif"], ...] = Field(
        (),
        max_length=2,
        description="metadata to keep byte for byte: icc, exif; without it, colours are sRGB",
    )

    @field_validator("styles")
    @classmethod
    def _some(cls, styles: tuple[str, ...]) -> tuple[str, ...]:
        if not styles:
            raise ValueError("name one style at least")
        return styles

    @field_validator("style_weights")
    @classmethod
    def _weights_match(cls, weights: tuple[float, ...] | None, info: ValidationInfo) -> object:
        styles = info.data.get("styles")
        if weights is None or styles is None:
            return weights
        if len(weights) != len(styles):
            raise ValueError(
                f"give one weight a style: there are {len(styles)} styles and {len(weights)} weights"
            )
        if not math.fsum(weights) > 0:
            raise ValueError("one weight at least must be above 0")
        return weights

    @field_validator("beta")
    @classmethod
    def _something_left(cls, beta: float | None, info: ValidationInfo) -> float | None:
        if beta == 0 and info.data.get("alpha") == 0:
            raise ValueError("alpha and beta cannot both be 0")
        return beta

    @field_validator("strength")
    @classmethod
    def _one_form(cls, strength: float | None, info: ValidationInfo) -> float | None:
        if strength is not None and any(info.data.get(name) is not None for name in ("alpha", "beta")):
            raise ValueError("give strength, or alpha and beta, not both")
        return strength

    @field_validator("mask")
    @classmethod
    def _masks_match(cls, mask: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        styles = info.data.get("styles")
        if mask and styles is not None and len(mask) not in (1, len(styles)):
            raise ValueError(
                f"give one label image, or one mask a style: there are {len(styles)} styles"
                f" and {len(mask)} masks"
            )
        if mask and info.data.get("style_weights") is not None:
            raise ValueError("give mask or style_weights, not both")
        return mask

    def objects(self) -> tuple[str, ...]:
        """Styles that are not in the gallery, and masks."""
        return (*(style for style in self.styles if not in_gallery(style)), *self.mask)

    def artifacts(self) -> tuple[str, ...]:
        """The model's."""
        return (MODELS[self.model],)

    def mix(self) -> tuple[float, float]:
        """How much of the picture itself (alpha) and of the styles (beta)."""
        if self.strength is not None:
            return 1 - self.strength, self.strength
        if self.alpha is not None:
            return self.alpha, 1 - self.alpha if self.beta is None else self.beta
        return (0.0, 1.0) if self.beta is None else (1 - self.beta, self.beta)


class StylizeReceipt(Result):
    """What one painted picture came to."""

    width_px: int = Field(description="of the picture written")
    height_px: int = Field(description="of the picture written")
    bytes_in: int
    bytes_out: int
    styles: tuple[str, ...] = Field(
        description="names of the gallery, else the first 16 digits of the style's sha256"
    )
    alpha: float
    beta: float
    styles_encoded: int = Field(
        description="styles that had to be encoded for this item; the others were known to this worker or "
        "lay in the object store"
    )
    windows: int = Field(description="windows that the picture was painted in")
    model: str = Field(description="digest of the artifact")
    notes: tuple[str, ...] = Field((), description="what was forgiven or rounded on the way")
    seconds: dict[str, float] = Field(default_factory=dict, description="seconds a stage")


def _check(params: Params, installed: Installed) -> Sequence[tuple[str, str]]:
    """A job pins one model, that of its step: an item cannot have another one."""
    if set(params.artifacts() or ()) <= set(installed.manifests):
        return ()
    return [("model", "the job has another model: a job has one, named in its step")]


OPERATION = Operation(
    name="stylize",
    summary="Paint an image in the style of one or several others.",
    params=StylizeParams,
    result=StylizeReceipt,
    handler="pipeline.inference.stylize:Stylizer",
    artifacts=(MODELS["standard"],),
    output_extension=".jpg",
    makes_picture=True,
    seconds_per_item_hint=0.4,
    check=_check,
)
