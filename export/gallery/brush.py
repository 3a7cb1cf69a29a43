"""Brush strokes: lines that follow a flow, each of several bristles with a shade of its own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from export.gallery.fields import Field, sample

_STEP_PX = 6


@dataclass(frozen=True)
class Brush:
    """How a layer of strokes looks. Lengths in pixels; shade: by how many levels strokes differ.

    Attributes:
        tint: How much of that difference is one of colour, the rest being of brightness.
    """

    width_px: float
    length_px: float
    bristles: int
    shade: float
    apart_px: float
    tint: float = 1.0


def stroke_layer(
    canvas: Image.Image, random: np.random.Generator, colour: Field, angle: Field, brush: Brush
) -> None:
    """Covers a canvas with strokes.

    Args:
        canvas: Painted on in place.
        random: Draws places, lengths and shades.
        colour: (side, side, 3) from 0 to 255: what a stroke takes its colour from, where it begins; no stroke
            begins where it is below 0.
        angle: (side, side) in radians: where strokes go.
        brush: Their look.
    """
    side = colour.shape[0]
    draw = ImageDraw.Draw(canvas)
    count = int((side / brush.apart_px) ** 2)
    for x, y in random.uniform(0, side, (count, 2)):
        paint = sample(colour, np.array(x), np.array(y))
        if paint.min() >= 0:
            line = _follow(angle, x, y, brush.length_px * random.uniform(0.6, 1.4))
            _stroke(draw, random, line, paint, brush)


def _follow(angle: Field, x: float, y: float, length_px: float) -> Field:
    """The points of a stroke, (n, 2)."""
    points = [(x, y)]
    for _ in range(max(2, int(length_px / _STEP_PX))):
        turn = float(sample(angle, np.array(x), np.array(y)))
        x, y = x + _STEP_PX * np.cos(turn), y + _STEP_PX * np.sin(turn)
        points.append((x, y))
    return np.array(points)


def _stroke(
    draw: ImageDraw.ImageDraw, random: np.random.Generator, line: Field, colour: Field, brush: Brush
) -> None:
    ahead = np.gradient(line, axis=0)
    across = np.stack([-ahead[:, 1], ahead[:, 0]], axis=1) / (np.hypot(*ahead.T)[:, None] + 1e-9)
    base = colour + _shade(random, brush)
    thin = max(1, round(brush.width_px / brush.bristles * 1.6))
    for place in random.permutation(np.linspace(-0.5, 0.5, brush.bristles)):
        shade = base + random.normal(0, brush.shade * 0.7) + 14 * brush.tint * place  # lit from one side
        begin, end = random.integers(0, 2), len(line) - random.integers(0, 2)
        bristle = line[begin:end] + across[begin:end] * place * brush.width_px
        if len(bristle) > 1:
            points = [(float(a), float(b)) for a, b in bristle]
            draw.line(points, fill=tuple(int(v) for v in shade.clip(0, 255)), width=thin, joint="curve")


def _shade(random: np.random.Generator, brush: Brush) -> Field:
    found: Field = brush.tint * random.normal(0, brush.shade, 3) + (1 - brush.tint) * random.normal(
        0, brush.shade
    )
    return found
