"""The `stylize` operation: any accepted image, painted in the style of others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
from numpy.typing import NDArray

from pipeline.core.errors import ImageTooLarge, InvalidParams, MaskMismatch, UnusableObject
from pipeline.core.operation import FetchedObject, HandlerContext, ItemInput, ItemOutput
from pipeline.imaging.decode import DecodedImage
from pipeline.imaging.encode import CONTENT_TYPES, EncodedFormat, encode_image, preview
from pipeline.imaging.formats import EXTENSIONS
from pipeline.imaging.hidden import fill_hidden
from pipeline.imaging.recolour import give_colours, palette_of
from pipeline.imaging.regions import Regions, lay_over, regions_of
from pipeline.imaging.resize import resized, scaled, size_within
from pipeline.inference.images import Images, in_srgb
from pipeline.inference.painter import Brush, Painter
from pipeline.inference.stopwatch import Stopwatch
from pipeline.inference.styles import Style, Styles, read_object
from pipeline.inference.warm_up import warm_up_painter
from pipeline.operations.stylize import StylizeParams, StylizeReceipt, in_gallery

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class _Painting:
    """What was painted of an item, and how."""

    pixels: Pixels
    styles: tuple[Style, ...]
    encoded: int
    windows: int


class Stylizer:
    """Paints with the artifact that its job has pinned."""

    def __init__(self, context: HandlerContext) -> None:
        ((self._model, artifact),) = context.artifacts.items()
        self._painter = Painter.from_artifact(artifact, context.device, context.device_index)
        self._images = Images(context)
        self._styles = Styles(self._painter, self._images, context.memo)
        self._max_pixels = context.limits.max_pixels

    def warm_up(self) -> None:
        warm_up_painter(self._painter)

    def run(self, item: ItemInput) -> ItemOutput:
        params = cast("StylizeParams", item.params)
        if params.artifacts() != (self._model,):
            raise InvalidParams(
                f"the job has not the model {params.model!r}: a job has one, named in its step"
            )
        watch = Stopwatch()
        image = self._prepared(self._images.read(item.data, keep_profile="icc" in params.keep), params)
        watch.lap("read")
        previews = {}
        if item.sample:
            previews["before"] = preview(image.pixels, icc_profile=image.space)
            watch.lap("preview")
        painting = self._painted(item, image, params, watch)
        image = replace(image, pixels=painting.pixels)
        if item.sample:
            previews["after"] = preview(image.pixels, icc_profile=image.space)
        chosen = _format(params, image)
        data = encode_image(
            image.pixels,
            chosen,
            quality=params.jpeg_quality,
            alpha=image.alpha,
            grey=image.is_grey and params.preserve_colors == "luma",
            icc_profile=image.space,
            exif=image.exif if "exif" in params.keep else None,
        )
        watch.lap("write")
        return ItemOutput(
            receipt=self._receipt(item, image, painting, data, watch),
            data=data,
            extension=EXTENSIONS[chosen],
            content_type=CONTENT_TYPES[chosen],
            previews=previews,
        )

    def _prepared(self, image: DecodedImage, params: StylizeParams) -> DecodedImage:
        """The picture without what nobody sees, not larger than asked."""
        if image.is_grey and image.space is not None and params.preserve_colors != "luma":
            image = in_srgb(image)  # it will have colours, and a profile of grey has none
            image = replace(image, notes=(*image.notes, "the profile is one of grey; colours are sRGB"))
        size = size_within((image.width_px, image.height_px), params.max_side_px)
        pixels = fill_hidden(image.pixels, image.alpha)
        alpha = None if image.alpha is None else resized(image.alpha, size)
        return replace(image, pixels=resized(pixels, size), alpha=alpha, width_px=size[0], height_px=size[1])

    def _painted(
        self, item: ItemInput, image: DecodedImage, params: StylizeParams, watch: Stopwatch
    ) -> _Painting:
        size = (image.width_px, image.height_px)
        regions = self._regions(item, params, size)
        styles = tuple(self._style(item, name) for name in params.styles)
        brushes, encoded = self._brushes(styles, image, params)
        watch.lap("styles")
        at = self._painted_size(size, params)
        content = resized(image.pixels, at)
        alpha = None if image.alpha is None else resized(image.alpha, at)
        study = self._painter.study(content, None if alpha is None else alpha > 0)
        painted = self._painter.paint(study, brushes, None if regions is None else regions.at_size(at))
        windows = self._painter.window_count(content)
        del study, content
        painted = resized(painted, size)
        if params.preserve_colors == "luma":
            give_colours(image.pixels, painted)
        if regions is not None:
            lay_over(image.pixels, painted, regions)
        watch.lap("paint")
        return _Painting(painted, styles, encoded, windows)

    def _style(self, item: ItemInput, name: str) -> Style:
        if in_gallery(name):
            return self._styles.named(name)
        file = _object(item, name, f"style {name!r}")
        return Style(file.sha256[:16], f"style {name!r}", file)

    def _brushes(
        self, styles: Sequence[Style], image: DecodedImage, params: StylizeParams
    ) -> tuple[list[Brush], int]:
        """A brush a region, or one of all styles, and how many styles were encoded for them."""
        if params.preserve_colors == "matched":
            palette = palette_of(image.pixels, image.alpha)
            vectors = [self._styles.recoloured(style, palette) for style in styles]
            encoded = len(styles)
        else:
            found = [self._styles.vector(style) for style in styles]
            vectors, encoded = [vector for vector, _ in found], sum(new for _, new in found)
        alpha, beta = params.mix()
        if params.mask:
            return [Brush(vector, alpha, beta) for vector in vectors], encoded
        weights = np.asarray(params.style_weights or [1.0] * len(styles))
        mixed = np.tensordot(weights / weights.sum(), np.stack(vectors).astype(np.float64), axes=1)
        return [Brush(mixed.astype(np.float32), alpha, beta)], encoded

    def _regions(self, item: ItemInput, params: StylizeParams, size: tuple[int, int]) -> Regions | None:
        if not params.mask:
            return None
        masks = (self._mask(item, name) for name in params.mask)
        labels = len(params.styles) if len(params.mask) == 1 < len(params.styles) else 0
        return regions_of(masks, size, params.mask_feather_px, labels=labels)

    def _mask(self, item: ItemInput, name: str) -> Pixels:
        """uint8 (h, w)."""
        label = f"mask {name!r}"
        mask = read_object(self._images.read, _object(item, name, label).data, label)
        if not mask.is_grey and not _is_neutral(mask.pixels):
            raise MaskMismatch(f"{label} has colours; a mask is grey")
        return np.ascontiguousarray(mask.pixels[:, :, 0])

    def _painted_size(self, size: tuple[int, int], params: StylizeParams) -> tuple[int, int]:
        at = size if params.stroke_scale == 1 else scaled(size, 1 / params.stroke_scale)
        if at[0] * at[1] > max(self._max_pixels, size[0] * size[1]):
            raise ImageTooLarge(
                f"stroke_scale {params.stroke_scale:g} would paint {at[0]} x {at[1]} pixels;"
                f" at most {self._max_pixels} are allowed"
            )
        return at

    def _receipt(
        self, item: ItemInput, image: DecodedImage, painting: _Painting, data: bytes, watch: Stopwatch
    ) -> StylizeReceipt:
        alpha, beta = cast("StylizeParams", item.params).mix()
        rounded = ("16-bit samples were rounded to 8 bits",) if image.bits > 8 else ()
        return StylizeReceipt(
            width_px=image.width_px,
            height_px=image.height_px,
            bytes_in=len(item.data),
            bytes_out=len(data),
            styles=tuple(style.name for style in painting.styles),
            alpha=alpha,
            beta=beta,
            styles_encoded=painting.encoded,
            windows=painting.windows,
            model=self._painter.digest,
            notes=(*image.notes, *rounded),
            seconds=watch.seconds,
        )


def _object(item: ItemInput, reference: str, label: str) -> FetchedObject:
    try:
        return item.objects[reference]
    except KeyError:
        raise UnusableObject(f"{label} was not fetched") from None


def _is_neutral(pixels: Pixels) -> bool:
    """Whether the three planes are equal, but for what a lossy format makes of grey."""
    return int((pixels.max(axis=2) - pixels.min(axis=2)).max()) <= 8


def _format(params: StylizeParams, image: DecodedImage) -> EncodedFormat:
    if params.format == "auto":
        return "jpeg" if image.alpha is None else "png"
    return params.format
