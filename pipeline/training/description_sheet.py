"""How a training of the describing model shows itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipeline.training import curve

CURVES = ("cider_en", "cider_zh", "distinct_en", "recall_at_10", "labels_esc10")


def marks_line(point: dict[str, Any]) -> str:
    """One evaluation in words."""
    return (
        f"CIDEr en {point['cider_en']:.3f} zh {point['cider_zh']:.3f}  distinct {point['distinct_en']:.0f}"
        f"  R@10 {point['recall_at_10']:.3f}  labels {point['labels_esc10']:.3f}"
        f" {point['labels_urbansound8k']:.3f} {point['labels_spoken_digits']:.3f}"
        f"  others' CIDEr {point.get('cider_written', 0):.3f} named {point.get('named', 0):.3f}"
    )


def plot_marks(points: list[dict[str, Any]], path: Path) -> None:
    """Draws each mark over CPU minutes."""
    curve.plot_marks(points, path, CURVES)
