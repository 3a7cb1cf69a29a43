"""Styles in few inks: charcoal, woodcut, colour woodblock."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from export.gallery.brush import Brush, stroke_layer
from export.gallery.fields import cloud, colours, grid, noise, picture, rgb


def charcoal(random: np.random.Generator, side_px: int) -> Image.Image:
    """Round forms hatched in several directions on warm paper, with cast shadows."""
    x, y = grid(side_px)
    tone = 0.28 * cloud(random, side_px, side_px / 3, octaves=3) + 0.25 * (y > 0.62)
    for at_x, at_y, size in ((0.62, 0.4, 0.25), (0.3, 0.6, 0.2), (0.74, 0.76, 0.14)):
        shadow = np.hypot((x - at_x - 0.45 * size) / 1.5, (y - at_y - 0.85 * size) / 0.45) / size
        tone = np.maximum(tone, 0.85 * (1.15 - shadow).clip(0, 1))
        away = np.hypot(x - at_x, y - at_y) / size
        lit = (0.62 * (x - at_x) + 0.78 * (y - at_y)) / size
        tone = np.where(away < 1, (0.4 + 0.62 * lit - 0.18 * (away > 0.9)).clip(0, 1), tone)
        tone = np.where(np.abs(away - 1) < 0.015, 0.9, tone)
    paper = colours(0.5 + 0.1 * noise(random, side_px, 3), ("d3c8b2", "efe6d4"))
    canvas = picture(paper * (1 - 0.2 * tone[..., None]))
    grey = np.array(rgb("3a3632"), np.float64)
    for level, turn, length in ((0.22, -0.8, 70), (0.42, 0.75, 60), (0.6, -0.1, 50), (0.76, 1.5, 40)):
        ink = np.where((tone > level)[..., None], grey + 70 * (1 - tone[..., None]), -1.0)
        bend = turn + 0.2 * noise(random, side_px, side_px / 3)
        stroke_layer(canvas, random, ink, bend, Brush(3, length, 1, 16, 12, tint=0.0))
    grain = 9 * noise(random, side_px, 2.5) * (0.4 + tone)
    return picture(np.asarray(canvas, np.float64) + grain[..., None])


def woodcut(random: np.random.Generator, side_px: int) -> Image.Image:
    """Black and cream: lines that swell with the tone and run along the forms."""
    x, y = grid(side_px)
    warp = 0.03 * noise(random, side_px, side_px / 4)
    tone = 0.65 * cloud(random, side_px, side_px / 3, octaves=3) + 0.35 * y
    sun = np.hypot(x - 0.68, y - 0.27)
    rays = np.arctan2(y - 0.27, x - 0.68)
    hills = y > 0.55 + 0.1 * np.sin(4 * x + 0.4) + 0.5 * warp
    sky_lines = np.sin(rays * 60 + 8 * warp)
    hill_lines = np.sin((y - 0.12 * np.sin(4 * x) + warp) * 260)
    lines = np.where(hills, hill_lines, sky_lines)
    ink = lines > np.where(hills, 1.3 - 2.2 * tone, 1.5 - 2.2 * (sun + 0.25 * tone))
    ink &= sun > 0.12
    front = y > 0.8 + 0.06 * np.sin(7 * x) + warp
    ink = np.where(front, np.sin((x + 0.6 * warp) * 330 + 3 * np.sin(9 * y)) > 0.5 - 0.9 * tone, ink)
    ink |= np.abs(y - (0.55 + 0.1 * np.sin(4 * x + 0.4) + 0.5 * warp)) < 0.004
    worn = noise(random, side_px, 3) > 2.1
    return picture(
        np.where((ink & ~worn)[..., None], np.array(rgb("17130f")), np.array(rgb("efe3c8"))).astype(float)
    )


def wave(random: np.random.Generator, side_px: int) -> Image.Image:
    """Indigo waves with pale crests and a dark outline under a printed sky."""
    x, y = grid(side_px)
    fibre = 5 * noise(random, side_px, 2.5) + 4 * noise(random, side_px, 9)
    values = colours(y / 0.6, ("c9b48a", "e9dcb8", "f1e7cb"))
    disc = np.hypot(x - 0.26, y - 0.24)
    values[disc < 0.1] = rgb("c5523f")
    inks = ("9db8bf", "5f8ea6", "346b8f", "1f4a73", "142f52")
    for layer, ink in enumerate(inks):
        level = 0.36 + 0.13 * layer
        phase, pace = random.uniform(0, 6), 1.5 + 0.35 * layer
        swell = 2 * np.pi * pace * x + phase
        # A trochoid: crests are sharper than troughs, and lean.
        top = level - 0.085 * np.cos(swell + 0.9 * np.sin(swell)) - 0.012 * np.cos(5 * swell + phase)
        depth = y - top
        body = depth > 0
        bands = 0.5 + 0.5 * np.cos(depth * (150 - 12 * layer) + 0.5 * np.sin(2 * swell))
        shade = colours((bands > 0.62).astype(float), (ink, inks[max(0, layer - 1)]))
        foam = body & (depth < 0.028 + 0.02 * np.cos(9 * swell) * np.sin(4 * swell))
        values[body] = shade[body]
        values[foam] = rgb("f3ecd6")
        values[np.abs(depth) < 0.0042] = rgb("12203a")
        values[body & (np.abs(depth - 0.03 - 0.02 * np.cos(9 * swell) * np.sin(4 * swell)) < 0.0022)] = rgb(
            "12203a"
        )
    canvas = picture(values + fibre[..., None])
    draw = ImageDraw.Draw(canvas)
    for px, py in random.uniform(0, side_px, (260, 2)):  # spray
        if 0.25 * side_px < py < 0.7 * side_px:
            r = random.uniform(1.5, 4.5) * side_px / 1024
            draw.ellipse((px - r, py - r, px + r, py + r), fill=rgb("f6f0dd"))
    return canvas
