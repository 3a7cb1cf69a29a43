"""Styles with a brush: oil, pastel dots, watercolour."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from export.gallery.brush import Brush, stroke_layer
from export.gallery.fields import Field, cloud, colours, grid, noise, picture


def night(random: np.random.Generator, side_px: int) -> Image.Image:
    """Swirling strokes in blue with yellow lights over dark hills."""
    x, y = grid(side_px)
    angle = 0.5 * noise(random, side_px, side_px / 3)
    colour = colours(
        0.55 * cloud(random, side_px, side_px / 4) + 0.45 * (1 - y),
        ("0b1437", "16347a", "2f6db5", "7fb2d6", "cfe3df"),
    )
    lights = (
        (0.82, 0.15, 0.13),
        (0.2, 0.2, 0.08),
        (0.5, 0.34, 0.1),
        (0.68, 0.5, 0.06),
        (0.36, 0.09, 0.05),
        (0.08, 0.48, 0.06),
    )
    for at_x, at_y, size in lights:
        away = np.hypot(x - at_x, y - at_y)
        near = np.exp(-((away / (2.2 * size)) ** 2))
        angle = angle * (1 - near) + near * (np.arctan2(y - at_y, x - at_x) + 1.75)
        glow = np.exp(-((away / size) ** 2))[..., None]
        rings = colours(0.5 + 0.5 * np.cos(away / size * 9), ("e9a820", "fbe69a"))
        colour = colour * (1 - glow) + rings * glow
    hill = y > 0.78 + 0.05 * np.sin(5 * x + 1) + 0.03 * np.sin(13 * x)
    colour[hill] = colours(cloud(random, side_px, side_px / 10), ("081a22", "17403a", "3f6b3f"))[hill]
    angle = np.where(hill, 0.35 * np.sin(9 * x), angle)
    return _oils(random, colour, angle)


def meadow(random: np.random.Generator, side_px: int) -> Image.Image:
    """Short warm strokes: a field with poppies under an evening sky."""
    x, y = grid(side_px)
    horizon = 0.42 + 0.03 * np.sin(4 * x)
    sky = colours(
        (y / horizon).clip(0, 1) + 0.12 * noise(random, side_px, side_px / 6),
        ("5b7fb8", "b9a7c9", "f3c9a2", "f7e2b0"),
    )
    field = colours(cloud(random, side_px, side_px / 9), ("2f4a1c", "6f8a2a", "b5a83a", "dcc766"))
    colour = np.where((y < horizon)[..., None], sky, field)
    flowers = (noise(random, side_px, side_px / 40) > 1.25) & (y > horizon + 0.06)
    colour[flowers] = colours(cloud(random, side_px, side_px / 20), ("b3201f", "e2502c", "f4a7a0"))[flowers]
    trees = (np.abs(y - horizon) < 0.05 + 0.03 * noise(random, side_px, side_px / 12)) & (x > 0.3)
    colour[trees] = colours(cloud(random, side_px, side_px / 12), ("1c3a2a", "3f6440", "7b8f4b"))[trees]
    angle = np.where(
        y < horizon,
        0.15 * noise(random, side_px, side_px / 5),
        -1.4 + 0.5 * noise(random, side_px, side_px / 8),
    )
    return _oils(random, colour, angle, scale=0.75)


def _oils(random: np.random.Generator, colour: Field, angle: Field, scale: float = 1.0) -> Image.Image:
    """Three layers of ever smaller strokes, and the relief of the paint."""
    side = colour.shape[0]
    canvas = picture(np.broadcast_to(colour.mean(axis=(0, 1)), colour.shape))
    unit = side / 1024 * scale
    for width, length, bristles, shade, apart in (
        (44, 170, 9, 8, 18),
        (26, 110, 7, 10, 13),
        (13, 60, 4, 12, 10),
    ):
        brush = Brush(width * unit, length * unit, bristles, shade, apart * unit)
        stroke_layer(canvas, random, colour, angle, brush)
    values = np.asarray(canvas, np.float64)
    relief = np.gradient(values.mean(axis=2), axis=(0, 1))
    return picture(values + 0.35 * (relief[0] + relief[1])[..., None])


def dots(random: np.random.Generator, side_px: int) -> Image.Image:
    """Touches of pure colour side by side: water, trees and light."""
    x, y = grid(side_px)
    shore = 0.55 + 0.06 * np.sin(3 * x + 0.5)
    water = (y > shore) & (y - shore < 0.38)
    tone = 0.5 * cloud(random, side_px, side_px / 5) + 0.5 * np.where(water, 1 - y, y)
    colour = colours(tone, ("27408b", "3d7ea6", "8cc0a4", "e8dfa0", "f2b98a"))
    grove = noise(random, side_px, side_px / 5) - 4 * np.abs(y - 0.32) > -0.1
    colour[grove] = colours(cloud(random, side_px, side_px / 12), ("1d4d3a", "4f8a3c", "a9bf4a", "f0d35c"))[
        grove
    ]
    near = y - shore > 0.38
    colour[near] = colours(cloud(random, side_px, side_px / 8), ("7a3b3f", "c8683f", "efb05a"))[near]
    canvas = picture(np.full((side_px, side_px, 3), 240.0))
    draw = ImageDraw.Draw(canvas)
    shifts = np.array([[0, 0, 0], [55, -10, -45], [-45, 20, 50], [35, 35, -35], [-30, -30, 25]], np.float64)
    for radius, count in ((11, 11_000), (8, 16_000), (6, 9_000)):
        for px, py in random.uniform(0, side_px, (count, 2)):
            hue = colour[int(py), int(px)] + shifts[random.choice(5, p=(0.5, 0.15, 0.15, 0.1, 0.1))]
            fill = tuple(int(v) for v in (hue + random.normal(0, 8, 3)).clip(0, 255))
            r = radius * random.uniform(0.7, 1.15) * side_px / 1024
            draw.ellipse((px - r, py - r, px + r, py + r), fill=fill)
    return canvas


def watercolour(random: np.random.Generator, side_px: int) -> Image.Image:
    """Washes that bleed into wet paper, darker where they dried at their edges."""
    paper = 250 - 9 * np.abs(noise(random, side_px, 5)) - 4 * noise(random, side_px, 2.5)
    values = np.repeat(paper[..., None], 3, axis=2) * np.array([1.0, 0.985, 0.95])
    palette = ("2e6f9e", "5fa8a0", "d98a5b", "c1536b", "6a5a9c", "e2b84f", "3f8f6b")
    x, y = grid(side_px)
    for _ in range(26):
        at, size = random.random(2), random.uniform(0.08, 0.24)
        bleed = 0.28 * noise(random, side_px, side_px / 7) + 0.12 * noise(random, side_px, side_px / 25)
        shape = 1 - np.hypot(x - at[0], (y - at[1]) * random.uniform(0.7, 1.6)) / size + bleed
        body = 1 / (1 + np.exp(-shape * 40))
        rim = np.exp(-((shape / 0.05) ** 2))
        wash = 0.35 + 0.3 * cloud(random, side_px, side_px / 5)
        strength = (body * wash * 0.75 + rim * body * 0.35)[..., None]
        pigment = colours(np.zeros(1), (palette[random.integers(len(palette))],) * 2)[0] / 255
        values *= 1 - strength * (1 - pigment)
    return picture(values).filter(ImageFilter.GaussianBlur(0.8))
