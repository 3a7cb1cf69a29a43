"""What procedural pictures are made of: smooth noise, flows, palettes, cells."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Field = NDArray[np.float64]


def noise(random: np.random.Generator, side_px: int, cell_px: float) -> Field:
    """Smooth noise around 0 with features of about a cell, (side, side), deviation about 1."""
    count = int(np.ceil(side_px / cell_px)) + 3
    grid = random.normal(size=(count, count)).astype(np.float32)
    extent = side_px / cell_px
    offset = 1 + random.random(2)
    box = (offset[0], offset[1], min(offset[0] + extent, count), min(offset[1] + extent, count))
    smooth = Image.fromarray(grid).resize((side_px, side_px), Image.Resampling.BICUBIC, box=box)
    field = np.asarray(smooth, np.float64)
    found: Field = field / (field.std() + 1e-9)
    return found


def cloud(random: np.random.Generator, side_px: int, cell_px: float, octaves: int = 5) -> Field:
    """Noise at several scales (fractional Brownian motion), scaled to [0, 1]."""
    total = sum(noise(random, side_px, max(2.0, cell_px / 2**k)) / 1.8**k for k in range(octaves))
    field = np.asarray(total)
    low, high = np.percentile(field, (1, 99))
    found: Field = ((field - low) / (high - low)).clip(0, 1)
    return found


def grid(side_px: int) -> tuple[Field, Field]:
    """Coordinates x and y from 0 to 1, each (side, side)."""
    line = (np.arange(side_px) + 0.5) / side_px
    x, y = np.meshgrid(line, line)
    return x, y


def colours(field: Field, palette: Sequence[str], at: Sequence[float] | None = None) -> Field:
    """A palette's colours for values from 0 to 1, linear in between: (..., 3) from 0 to 255."""
    table = np.array([rgb(colour) for colour in palette], np.float64)
    stops = np.linspace(0, 1, len(table)) if at is None else np.asarray(at)
    return np.stack([np.interp(field, stops, table[:, channel]) for channel in range(3)], axis=-1)


def rgb(colour: str) -> tuple[int, int, int]:
    """The three numbers of a colour such as 2b3a67."""
    return int(colour[:2], 16), int(colour[2:4], 16), int(colour[4:], 16)


def picture(values: Field) -> Image.Image:
    """(H, W, 3) from 0 to 255 to a picture."""
    return Image.fromarray(values.clip(0, 255).round().astype(np.uint8))


def cells(side_px: int, points: Field) -> tuple[NDArray[np.int64], Field]:
    """The Voronoi cell of each pixel, and how far in pixels it lies from the cell's edge.

    Args:
        side_px: Of the square.
        points: (n, 2) in pixels, x and y.
    """
    owner = np.empty((side_px, side_px), np.int64)
    edge = np.empty((side_px, side_px))
    x = np.arange(side_px) + 0.5
    for row in range(side_px):
        near = np.flatnonzero(np.abs(points[:, 1] - row) < side_px / 6)
        apart = np.hypot(points[near, 0][None] - x[:, None], points[near, 1][None] - row - 0.5)
        two = np.argpartition(apart, 1, axis=1)[:, :2]
        first, second = np.take_along_axis(apart, two, axis=1).T
        closest = np.where(first < second, two[:, 0], two[:, 1])
        owner[row] = near[closest]
        edge[row] = np.abs(second - first) / 2
    return owner, edge


def scattered(random: np.random.Generator, side_px: int, apart_px: float, jitter: float = 0.8) -> Field:
    """Points about evenly spread over the square and a margin, (n, 2)."""
    line = np.arange(-2 * apart_px, side_px + 2 * apart_px, apart_px)
    points = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
    points[:, 0] += (np.arange(len(points)) // len(line) % 2) * apart_px / 2
    found: Field = points + random.uniform(-0.5, 0.5, points.shape) * apart_px * jitter
    return found


def sample(field: Field, x: Field, y: Field) -> Field:
    """Values of a field at pixels, the edge's beyond it."""
    side = field.shape[0]
    rows, columns = (np.clip(v, 0, side - 1).astype(np.int64) for v in (y, x))
    found: Field = field[rows, columns]
    return found
