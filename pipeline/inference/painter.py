"""The networks of stylization on pictures of any size, window by window.

    pixels -- windows -- content -- content_feat -+- statistics of all of it (first pass)
                                                  +- windows -- paint -- pixels (second pass)

There is one normalisation point and its statistics are inputs, so windows that look as far as the networks do
give what one window over everything would give. The statistics are exact: sums in float64 over every cell of
the picture. Around the picture lies a margin, its mirror image, for the networks see the border of what they
are given as an edge; the margin is cut off again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.codec.tiling import Box, even_boxes
from pipeline.core.operation import Device, LoadedArtifact
from pipeline.imaging.regions import Regions
from pipeline.inference.batching import Batcher
from pipeline.inference.session import OrtSession, Session

LAYOUT = 1  # of artifacts that this reads
ROLES = ("content", "style", "paint")
MARGIN_PX = 8
WINDOW_PX = 1024  # side of what is computed at once, without the halo: about 300 MB
KEPT_PX = 16_000_000  # pictures up to this keep their features (16 bytes a pixel) between the passes
_TINY = 1e-5  # as in training: below it, a channel counts as constant
_LEAST_STYLE_PX = 32
_MAX_BATCH = {"cpu": 1, "cuda": 4}

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Geometry:
    """Of an artifact: how its networks cut pictures and how far they look, in pixels."""

    stride_px: int
    cell_px: int
    encoder_halo_px: int
    decoder_halo_px: int


@dataclass(frozen=True, eq=False)
class Brush:
    """One style to paint with.

    Attributes:
        style: float32 (S,).
        alpha: Weight of the picture's own state.
        beta: Weight of the restyled one.
    """

    style: Floats
    alpha: float
    beta: float


@dataclass(frozen=True, eq=False)
class Study:
    """A picture after the first pass.

    Attributes:
        pixels: uint8 (H, W, 3).
        mean: Of each channel of the features over the visible picture, float32 (C,).
        spread: Their standard deviation, float32 (C,).
        features: float32 (C, rows, columns) with the margin; None where they are to be computed again.
    """

    pixels: Pixels
    mean: Floats
    spread: Floats
    features: Floats | None


class Painter:
    """The networks of one artifact. Threads may share it.

    Args:
        graphs: By role, as `pipeline.models.stylization.graphs` describes them.
        geometry: Of the artifact.
        digest: The artifact's, hex.
        style_size: Numbers in a style.
        window_px: Side of a window without its halo, a multiple of the stride.
        kept_px: Pixels of the largest picture whose features are kept between the passes.
        margin_px: Of mirrored pixels around the picture, a multiple of the stride.
    """

    def __init__(
        self,
        graphs: dict[str, Session],
        geometry: Geometry,
        *,
        digest: str,
        style_size: int,
        window_px: int = WINDOW_PX,
        kept_px: int = KEPT_PX,
        margin_px: int = MARGIN_PX,
    ) -> None:
        self._graphs, self._at, self.digest, self.style_size = graphs, geometry, digest, style_size
        self._window_px, self._kept_px, self._margin_px = window_px, kept_px, margin_px

    @classmethod
    def from_artifact(
        cls, artifact: LoadedArtifact, device: Device = "cpu", device_index: int = 0
    ) -> Painter:
        """Loads the graphs of an artifact on a device.

        Raises:
            ProviderUnavailable: The device is not there.
            ArtifactCorrupt: The artifact cannot be loaded.
            ArtifactNotFound: It has a layout that this version does not know.
        """
        artifact.require_layout(LAYOUT)
        batch, config = _MAX_BATCH[device], artifact.manifest.config
        return cls(
            {role: Batcher(OrtSession(artifact.path(role), device, device_index), batch) for role in ROLES},
            Geometry(**{name: config[name] for name in Geometry.__dataclass_fields__}),
            digest=artifact.digest,
            style_size=config["style_size"],
        )

    def encode_style(self, pixels: Pixels) -> Floats:
        """A picture, uint8 (H, W, 3), as a style, float32 (S,)."""
        height, width = (self._whole(max(side, _LEAST_STYLE_PX)) for side in pixels.shape[:2])
        (styles,) = self._graphs["style"].run({"pixels": mirrored(pixels, Box(0, 0, height, width))[None]})
        return np.asarray(styles[0])

    def study(self, pixels: Pixels, visible: NDArray[np.bool_] | None = None) -> Study:
        """First pass: the statistics of a picture.

        Args:
            pixels: uint8 (H, W, 3).
            visible: bool (H, W); cells in which nothing is visible do not count. None: all is.
        """
        area, cells = self._area(pixels), self._at.stride_px // self._at.cell_px
        counted = self._counted(pixels.shape[:2], area, visible)
        keeps = pixels.shape[0] * pixels.shape[1] <= self._kept_px
        features: Floats | None = None
        parts = []
        for core in self._windows(area):
            h1 = self._encode(pixels, core, area)
            if keeps and features is None:
                features = np.empty((len(h1), cells * area.bottom, cells * area.right), np.float32)
            if features is not None:
                features[:, *core.scaled(cells).slices()] = h1
            parts.append(_sums(h1, counted[core.scaled(cells).slices()]))
        count, total, squares = np.sum(parts, axis=0)
        mean, square = total / count, squares / count
        spread = np.sqrt(np.maximum(square - mean**2, 0) + _TINY)
        return Study(pixels, mean.astype(np.float32), spread.astype(np.float32), features)

    def paint(self, study: Study, brushes: Sequence[Brush], regions: Regions | None = None) -> Pixels:
        """Second pass: paints.

        Args:
            study: Of the picture.
            brushes: One, or with regions one for each of them.
            regions: Where each brush paints. Where none does, the picture stays as it is; where several do,
                they share.

        Returns:
            uint8 (H, W, 3).
        """
        whole = Box(0, 0, *study.pixels.shape[:2])
        painted = np.empty_like(study.pixels)
        for core in self._windows(self._area(study.pixels)):
            target = self._in_pixels(core).within(whole)
            if not target.size:
                continue  # all of it is margin
            weights = None if regions is None else regions.weights(_corners(target))
            painted[target.slices()] = self._window(study, core, brushes, weights)
        return painted

    def _window(self, study: Study, core: Box, brushes: Sequence[Brush], weights: Floats | None) -> Pixels:
        """One window's pixels within the picture, by the weights of brushes there, (K, h, w)."""
        area, whole = self._area(study.pixels), Box(0, 0, *study.pixels.shape[:2])
        target = self._in_pixels(core).within(whole)
        used = [k for k in range(len(brushes)) if weights is None or weights[k].any()]
        if not used:
            return study.pixels[target.slices()]
        outer = core.grown(self._at.decoder_halo_px // self._at.stride_px, area.bottom, area.right)
        h1 = self._features(study, outer, area)
        inner = target.relative_to(self._in_pixels(outer)).slices()
        layers = [self._decode(h1, study, brushes[k])[inner] for k in used]
        if weights is None or len(layers) == 1:
            return layers[0]
        return _mixed(layers, weights, used, study.pixels[target.slices()])

    def window_count(self, pixels: Pixels) -> int:
        """How many windows a picture is painted in."""
        return sum(1 for _ in self._windows(self._area(pixels)))

    # -- windows, in strides ---------------------------------------------------------------------------
    def _area(self, pixels: Pixels) -> Box:
        """The picture with its margin, rounded up to whole strides."""
        height, width = (self._whole(side + 2 * self._margin_px) for side in pixels.shape[:2])
        return Box(0, 0, height, width).over(self._at.stride_px)

    def _windows(self, area: Box) -> Iterator[Box]:
        return even_boxes(area, self._window_px // self._at.stride_px)

    def _in_pixels(self, box: Box) -> Box:
        """A box in strides, in pixels of the picture: the margin has coordinates below 0."""
        large = box.scaled(self._at.stride_px)
        return large.relative_to(Box(self._margin_px, self._margin_px, 0, 0))

    def _whole(self, side_px: int) -> int:
        return -(-side_px // self._at.stride_px) * self._at.stride_px

    def _counted(
        self, shape: tuple[int, ...], area: Box, visible: NDArray[np.bool_] | None
    ) -> NDArray[np.bool_]:
        """Which cells of an area's features are of the picture and visible, bool (rows, columns)."""
        cell, cells = self._at.cell_px, self._at.stride_px // self._at.cell_px
        counted = np.zeros((cells * area.bottom, cells * area.right), np.bool_)
        start, (height, width) = self._margin_px // cell, (-(-side // cell) for side in shape)
        inside = counted[start : start + height, start : start + width]
        inside[:] = True
        if visible is not None and visible.any():
            rows, columns = np.arange(0, shape[0], cell), np.arange(0, shape[1], cell)
            inside[:] = np.logical_or.reduceat(np.logical_or.reduceat(visible, rows, axis=0), columns, axis=1)
        return counted

    # -- networks --------------------------------------------------------------------------------------
    def _features(self, study: Study, box: Box, area: Box) -> Floats:
        if study.features is None:
            return self._encode(study.pixels, box, area)
        return study.features[:, *box.scaled(self._at.stride_px // self._at.cell_px).slices()]

    def _encode(self, pixels: Pixels, core: Box, area: Box) -> Floats:
        """Features of a box, (C, rows, columns), as they are within the whole picture."""
        outer = core.grown(self._at.encoder_halo_px // self._at.stride_px, area.bottom, area.right)
        window = mirrored(pixels, self._in_pixels(outer))
        (h1,) = self._graphs["content"].run({"pixels": window[None]})
        inner = core.relative_to(outer).scaled(self._at.stride_px // self._at.cell_px)
        return np.asarray(h1[0][:, *inner.slices()])

    def _decode(self, h1: Floats, study: Study, brush: Brush) -> Pixels:
        feeds = {
            "content_feat": h1[None],
            "mean": study.mean[None],
            "spread": study.spread[None],
            # Whatever the networks do with styles is linear in them: one that was mixed before is enough.
            "style_feat": brush.style[None, None],
            "style_weight": np.ones((1, 1), np.float32),
            "alpha": np.full((1, 1), brush.alpha, np.float32),
            "beta": np.full((1, 1), brush.beta, np.float32),
        }
        (painted,) = self._graphs["paint"].run(feeds)
        return np.asarray(painted[0])


def mirrored(pixels: Pixels, box: Box) -> Pixels:
    """A part of a picture (H, W, 3), mirrored where it reaches beyond the borders, C-contiguous."""
    height, width = pixels.shape[:2]
    if box == box.within(Box(0, 0, height, width)):
        return np.ascontiguousarray(pixels[box.slices()])
    rows, columns = _reflected(box.top, box.bottom, height), _reflected(box.left, box.right, width)
    inside = box.within(Box(0, 0, height, width))
    start, end = inside.left - box.left, inside.right - box.left
    window = np.empty((box.height, box.width, 3), np.uint8)
    window[:, start:end] = pixels[:, inside.left : inside.right][rows]
    for edge in (slice(0, start), slice(end, None)):  # one by one is slow, and only a margin needs it
        window[:, edge] = pixels[rows[:, None], columns[None, edge]]
    return window


def _reflected(start: int, end: int, length: int) -> NDArray[np.intp]:
    """Indices start, ..., end - 1, folded back into 0, ..., length - 1 at the borders."""
    places = np.arange(start, end) % (2 * length)
    return np.where(places < length, places, 2 * length - 1 - places)


def _sums(h1: Floats, counted: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Count, sum and sum of squares of each channel, float64 (3, C), over the cells that count."""
    sums = np.empty((3, len(h1)))
    everywhere = bool(counted.all())
    for c, plane in enumerate(h1):
        values = (plane if everywhere else plane[counted]).astype(np.float64).reshape(-1)
        sums[:, c] = values.size, values.sum(), values @ values
    return sums


def _corners(box: Box) -> tuple[int, int, int, int]:
    return box.left, box.top, box.right, box.bottom


def _mixed(layers: Sequence[Pixels], weights: Floats, used: Sequence[int], below: Pixels) -> Pixels:
    """Layers by their share of the weights; what lies below where there is no weight."""
    total = weights.sum(axis=0)
    shares = weights / np.where(total > 0, total, 1)
    mixed = np.where(total > 0, np.float32(0), np.float32(1))[..., None] * below
    for k, layer in zip(used, layers, strict=True):
        mixed += shares[k][..., None] * layer
    return np.rint(mixed).astype(np.uint8)
