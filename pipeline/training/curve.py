"""The record of a training run: one JSON line an evaluation, and a picture of the curve."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure


def append_point(path: Path, point: dict[str, Any]) -> None:
    """Adds one evaluation to a run's record."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(point) + "\n")


def read_points(path: Path) -> list[dict[str, Any]]:
    """All evaluations so far, the oldest first."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def plot_marks(points: list[dict[str, Any]], path: Path, names: Sequence[str]) -> None:
    """Draws each of these marks over CPU minutes, side by side."""
    figure = Figure(figsize=(15, 3))
    for axes, name in zip(figure.subplots(1, len(names)), names, strict=True):
        axes.plot([p["cpu_seconds"] / 60 for p in points], [p[name] for p in points])
        axes.set(xlabel="CPU minutes", title=name)
        axes.grid(visible=True, alpha=0.3)
    figure.tight_layout()
    figure.savefig(path, dpi=90)


def plot(points: list[dict[str, Any]], path: Path) -> None:
    """Draws rate-distortion cost over CPU seconds, and the newest rate-distortion curve beside the first."""
    figure = Figure(figsize=(11, 4))  # not pyplot: no window system, nothing global
    left, right = figure.subplots(1, 2)
    left.plot([p["cpu_seconds"] / 60 for p in points], [p["cost"] for p in points])
    left.set(xlabel="CPU minutes", ylabel="bpp + lambda 255² MSE, mean over rates", title="dev set")
    for point, label in ((points[0], "first"), (points[-1], "newest")):
        rates = point["rates"]
        right.plot([r["bpp"] for r in rates], [r["psnr_db"] for r in rates], marker="o", label=label)
    right.set(xlabel="bits a pixel (estimated)", ylabel="RGB PSNR, dB", title="rate and distortion")
    right.legend()
    for axes in (left, right):
        axes.grid(visible=True, alpha=0.3)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
