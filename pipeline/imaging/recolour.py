"""Colours kept: one picture's brightness with the colours of another, and its colours as another's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_STRIP_PX = 256
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
_LOOKED_AT_PX = 256  # side of the reduced picture that colours are taken from
_LEAST_VARIANCE = 1e-4  # of colours in [0, 1]: a picture of one colour has no directions of its own

Pixels = NDArray[np.uint8]


def give_colours(content: Pixels, painted: Pixels) -> None:
    """Leaves a painted picture its luma and gives it the content's chroma (Cb, Cr).

    Args:
        content: uint8 (H, W, 3).
        painted: The same size, changed in place; where the content's planes are equal, so are its.
    """
    for top in range(0, content.shape[0], _STRIP_PX):
        rows = slice(top, top + _STRIP_PX)
        ours, theirs = content[rows].astype(np.float32), painted[rows].astype(np.float32)
        # Cb and Cr are differences to luma: the same step in all three channels leaves them as they are.
        step = (theirs - ours) @ _LUMA
        painted[rows] = np.rint(ours + step[..., None]).clip(0, 255)


@dataclass(frozen=True, eq=False)
class Palette:
    """Mean, (3,), and covariance, (3, 3), of a picture's colours in [0, 1], float64."""

    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]


def palette_of(pixels: Pixels, alpha: NDArray[np.uint8] | None = None) -> Palette:
    """The palette of what is visible of a picture, uint8 (H, W, 3), seen small."""
    small = Image.fromarray(pixels)
    small.thumbnail((_LOOKED_AT_PX, _LOOKED_AT_PX), Image.Resampling.BOX)
    colours = np.asarray(small, np.float64).reshape(-1, 3) / 255
    weights = np.ones(len(colours))
    if alpha is not None and alpha.any():
        seen = Image.fromarray(alpha).resize(small.size, Image.Resampling.BOX)
        weights = np.asarray(seen, np.float64).reshape(-1) + 1e-9
    mean = np.average(colours, axis=0, weights=weights)
    centred = colours - mean
    return Palette(mean, (centred * weights[:, None]).T @ centred / weights.sum())


def with_palette(pixels: Pixels, wanted: Palette) -> Pixels:
    """The picture with colours moved linearly so that their mean and covariance are the wanted ones.

    The symmetric map, as in Gatys et al., Preserving Color in Neural Artistic Style Transfer (2016).
    """
    own = palette_of(pixels)
    matrix = _root(wanted.covariance) @ np.linalg.inv(_root(own.covariance))
    moved = (pixels / 255 - own.mean) @ matrix.T + wanted.mean
    return np.asarray(np.rint(moved * 255).clip(0, 255), np.uint8)


def _root(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    values, vectors = np.linalg.eigh(covariance)
    root: NDArray[np.float64] = (vectors * np.sqrt(np.maximum(values, _LEAST_VARIANCE))) @ vectors.T
    return root
