"""Styles of flat pieces: leaded glass, mosaic, marbled paper, geometric shapes, woven cloth."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from export.gallery.fields import cells, cloud, colours, grid, noise, picture, rgb, scattered


def glass(random: np.random.Generator, side_px: int) -> Image.Image:
    """Pieces of coloured glass in lead, lit from behind."""
    points = scattered(random, side_px, side_px / 8.5, jitter=0.75)
    owner, edge = cells(side_px, points)
    palette = ("8e1b2c", "d3472f", "e9a22b", "f2d65c", "2d7d4f", "1f6f8f", "23418f", "5b2b7a")
    middle = points / side_px
    tone = (
        0.5 + 0.32 * np.sin(4 * middle[:, 0] + 5 * middle[:, 1]) + random.normal(0, 0.16, len(points))
    ).clip(0, 1)
    piece = np.array([rgb(palette[int(t * 7.99)]) for t in tone], np.float64)
    light = 0.72 + 0.38 * cloud(random, side_px, side_px / 5)
    streaks = 1 + 0.1 * noise(random, side_px, 18) + 0.05 * noise(random, side_px, 4)
    values = piece[owner] * (light * streaks)[..., None] * 1.15
    values += 34 * np.exp(-(((edge - 26) / 16) ** 2))[..., None]
    lead = edge < 6.5
    values[lead] = (26 + 9 * (edge[lead] - 3))[:, None]
    return picture(values)


def mosaic(random: np.random.Generator, side_px: int) -> Image.Image:
    """Small stones in mortar, laid in rings and waves."""
    points = scattered(random, side_px, side_px / 40, jitter=0.45)
    owner, edge = cells(side_px, points)
    x, y = points.T / side_px
    ring = np.hypot(x - 0.5, y - 0.46)
    tone = np.where(
        ring < 0.3, 0.5 + 0.5 * np.cos(ring * 52), 0.35 + 0.3 * np.sin(14 * y + 3 * np.sin(7 * x))
    )
    inside = colours(tone.clip(0, 1), ("7b2d26", "c8553d", "e8b04b", "f3dfb5"))
    outside = colours(tone.clip(0, 1), ("123c4a", "1f6f78", "5fb0a5", "cfe3d0"))
    stone = np.where((ring < 0.3)[:, None], inside, outside) + random.normal(0, 15, (len(points), 1))
    values = stone[owner] + 7 * noise(random, side_px, 6)[..., None]
    slope = np.gradient(np.minimum(edge, 5), axis=(0, 1))
    values += 16 * (slope[0] + slope[1])[..., None]
    values[edge < 1.9] = np.array(rgb("b9ac98")) + 6 * noise(random, side_px, 3)[edge < 1.9][:, None]
    return picture(values)


def marble(random: np.random.Generator, side_px: int) -> Image.Image:
    """Marbled paper: stripes of floating colour drawn with a comb."""
    x, y = grid(side_px)
    for _ in range(3):
        x = x + 0.03 * noise(random, side_px, side_px / 4)
        y = y + 0.03 * noise(random, side_px, side_px / 4)
    comb = 0.055 * np.abs(((x * 7) % 1) - 0.5) * 4
    back = 0.04 * np.sin(2 * np.pi * 3.5 * y)
    phase = (y + comb) * 9 + 6 * back + 0.12 * noise(random, side_px, side_px / 30)
    palette = ("12263a", "1f5673", "c7d8c6", "e6b655", "b5412f", "f1e5c9", "27496b", "12263a")
    band = np.floor(phase * 3.0) % 7
    values = colours(band / 7, palette)
    seam = np.abs((phase * 3.0) % 1 - 0.5)
    values[seam > 0.44] = np.array(rgb("f4ecd8"))
    values[seam > 0.475] = np.array(rgb("16212e"))
    specks = noise(random, side_px, 9) > 2.35
    values[specks] = rgb("f4ecd8")
    return picture(values + 4 * noise(random, side_px, 3)[..., None])


def shapes(random: np.random.Generator, side_px: int) -> Image.Image:
    """Circles, bars and triangles in flat colours that show through one another."""
    canvas = picture(np.array(rgb("ece2cc")) + 4 * noise(random, side_px, 3)[..., None]).convert("RGBA")
    palette = ("c8402f", "1d3f72", "e3a82b", "20252b", "3f8f8a", "b9c7c4", "d98f6c")
    for number in range(44):
        layer = Image.new("RGBA", canvas.size)
        draw = ImageDraw.Draw(layer)
        fill = (*rgb(palette[random.integers(len(palette))]), int(random.uniform(165, 240)))
        at, size = random.uniform(0, side_px, 2), side_px * 0.26 * random.beta(1.4, 3.2) + 12
        turn = random.choice((0.0, 0.5, 0.785, 2.2)) + random.normal(0, 0.03)
        kind = number % 4
        if kind == 0:
            draw.ellipse((*(at - size), *(at + size)), fill=fill)
        elif kind == 1:
            draw.polygon(
                _turned(at, np.array([[-2.6, -0.16], [2.6, -0.16], [2.6, 0.16], [-2.6, 0.16]]) * size, turn),
                fill=fill,
            )
        elif kind == 2:
            draw.polygon(_turned(at, np.array([[-1, 0.8], [1.1, 0.7], [0.1, -1.2]]) * size, turn), fill=fill)
        else:
            width = max(4, int(size * 0.12))
            draw.arc(
                (*(at - size), *(at + size)), float(turn * 57), float(turn * 57 + 200), fill=fill, width=width
            )
        canvas = Image.alpha_composite(canvas, layer)
    values = np.asarray(canvas.convert("RGB"), np.float64)
    return picture(values + 5 * noise(random, side_px, 3)[..., None])


def _turned(at: np.ndarray, corners: np.ndarray, turn: float) -> list[tuple[float, float]]:
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return [(float(px), float(py)) for px, py in corners @ matrix.T + at]


def weave(random: np.random.Generator, side_px: int) -> Image.Image:
    """Cloth: coloured threads over and under one another in a stepped pattern."""
    count = 96
    thread = side_px / count
    column, row = np.meshgrid(np.arange(count), np.arange(count))
    steps = (np.abs((column // 3 % 16) - 8) + np.abs((row // 3 % 16) - 8)) % 8
    stripe = np.where(row // 24 % 2 == 0, steps, 7 - steps)
    palette = ("7a1f2b", "b5382d", "e0a13a", "f0dfb4", "2f6f6b", "1d3557", "b5382d", "f0dfb4")
    colour = np.array([rgb(name) for name in palette], np.float64)[stripe] + random.normal(
        0, 9, (count, count, 1)
    )
    pixel = (np.arange(side_px) / thread).astype(int)
    values = colour[np.ix_(pixel, pixel)]
    x, y = (np.arange(side_px) / thread % 1 - 0.5 for _ in range(2))
    over = ((pixel[:, None] + pixel[None]) % 2) == 0
    across, along = np.cos(np.pi * y)[:, None] ** 0.7, np.cos(np.pi * x)[None] ** 0.7
    lit = np.where(over, across * (0.75 + 0.25 * along), along * (0.75 + 0.25 * across))
    fibre = np.where(over, noise(random, side_px, 5), noise(random, side_px, 4))
    return picture(values * (0.45 + 0.62 * lit)[..., None] + 6 * fibre[..., None])
