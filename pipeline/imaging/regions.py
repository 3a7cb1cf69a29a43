"""Which style goes where: masks as weights, kept at a quarter of the size and looked up anywhere.

A weight is read by bilinear interpolation, the same value whichever window asks, so regions meet softly and
windows do not show.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from pipeline.core.errors import MaskMismatch
from pipeline.imaging.resize import Size

CELL_PX = 4
_STRIP_PX = 256
_RATIO_TOLERANCE = 0.01  # of the mask's height, beside one pixel of rounding

Plane = NDArray[np.uint8]
Floats = NDArray[np.float32]
Box = tuple[int, int, int, int]  # left, top, right, bottom in pixels


@dataclass(frozen=True, eq=False)
class Regions:
    """A weight map a style.

    Attributes:
        size: Of the picture, in pixels.
        maps: Mode "L", each a quarter of the size, rounded up; 255 is all.
    """

    size: Size
    maps: tuple[Image.Image, ...]

    def at_size(self, size: Size) -> Regions:
        """The same regions of the same picture at another size."""
        return self if size == self.size else Regions(size, tuple(_quarter(map_, size) for map_ in self.maps))

    def weights(self, box: Box) -> Floats:
        """Weights in a part of the picture, float32 (K, h, w), 0 to 1."""
        left, top, right, bottom = box
        small = self.maps[0].size
        across, down = small[0] / self.size[0], small[1] / self.size[1]
        source = (left * across, top * down, right * across, bottom * down)
        return np.stack(
            [
                np.asarray(map_.resize((right - left, bottom - top), Image.Resampling.BILINEAR, box=source))
                for map_ in self.maps
            ]
        ).astype(np.float32) / np.float32(255)


def regions_of(masks: Iterable[Plane], size: Size, feather_px: float, *, labels: int = 0) -> Regions:
    """Regions from one label image, or from one grey mask a style.

    Args:
        masks: uint8 (h, w) each; read one after the other, none is kept.
        labels: How many styles a label image names; 0 where masks are grey ones.
        size: Of the picture.
        feather_px: Standard deviation of the blur, in pixels of the picture.

    Raises:
        MaskMismatch: Another aspect ratio than the picture's.
    """
    maps = []
    for number, mask in enumerate(masks):
        _check_ratio(mask, size, f"mask {number}")
        planes = _label_planes(mask, labels) if labels else (Image.fromarray(mask),)
        maps += [_feathered(_quarter(plane, size), feather_px / CELL_PX) for plane in planes]
    return Regions(size, tuple(maps))


def lay_over(content: Plane, painted: Plane, regions: Regions) -> None:
    """Puts the content back where no mask is.

    Args:
        content: uint8 (H, W, 3).
        painted: The same size, changed in place.
        regions: Of that size.
    """
    width, height = regions.size
    for top in range(0, height, _STRIP_PX):
        bottom = min(top + _STRIP_PX, height)
        covered = regions.weights((0, top, width, bottom)).sum(axis=0).clip(0, 1)[..., None]
        below = content[top:bottom].astype(np.float32)
        painted[top:bottom] = np.rint(below + covered * (painted[top:bottom] - below))


def _check_ratio(mask: Plane, size: Size, name: str) -> None:
    height, width = mask.shape
    expected = width * size[1] / size[0]
    # One pixel of rounding on either side: a thumbnail's shorter side may be any of two.
    if abs(height - expected) > max(1 + size[1] / size[0], _RATIO_TOLERANCE * height):
        raise MaskMismatch(
            f"{name} is {width} x {height} and the picture {size[0]} x {size[1]}: not the same aspect ratio"
        )


def _label_planes(labels: Plane, styles: int) -> Iterator[Image.Image]:
    """255 where a label stands, for each label: plain numbers, or black to white in even steps."""
    if int(labels.max()) >= styles:
        table = np.rint(np.arange(256) * (styles - 1) / 255).astype(np.uint8)
        labels = table[labels]
    for k in range(styles):
        yield Image.fromarray((labels == k).view(np.uint8) * np.uint8(255))


def _quarter(plane: Image.Image, size: Size) -> Image.Image:
    small = (-(-size[0] // CELL_PX), -(-size[1] // CELL_PX))
    shrinks = plane.width >= small[0]
    return plane.resize(small, Image.Resampling.BOX if shrinks else Image.Resampling.BILINEAR)


def _feathered(plane: Image.Image, radius: float) -> Image.Image:
    return plane.filter(ImageFilter.GaussianBlur(radius)) if radius > 0 else plane
