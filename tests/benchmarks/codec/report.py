"""The comparison as text and as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipeline.metrics.bd_rate import BdRate
from tests.benchmarks.codec.codecs import OURS
from tests.benchmarks.codec.curves import Curve, compared
from tests.support.measure import machine, table

MEASURES = {"psnr_db": "PSNR", "ms_ssim_db": "MS-SSIM"}


def text_report(curves: Sequence[Curve], images: Sequence[Path]) -> str:
    """Points of all codecs, then how ours stands against each."""
    megapixels = "whole files, headers included; means over the pictures; MP per CPU second on one machine"
    lines = [f"{len(images)} pictures, {megapixels}", f"machine: {machine()}", *map(_points, curves)]
    ours = next((curve for curve in curves if curve.codec == OURS), None)
    if ours is not None and len(curves) > 1:
        lines.append(_differences(ours, [curve for curve in curves if curve is not ours]))
    return "\n".join(lines) + "\n"


def json_report(curves: Sequence[Curve], images: Sequence[Path]) -> str:
    """The same for programs."""
    ours = next((curve for curve in curves if curve.codec == OURS), None)
    differences = {
        curve.codec: {name: _as_json(compared(ours, curve, name)) for name in MEASURES}
        for curve in curves
        if ours is not None and curve is not ours
    }
    report = {
        "machine": machine(),
        "images": [image.name for image in images],
        "curves": [asdict(curve) for curve in curves],
        "bd_rate": differences,
    }
    return json.dumps(report, indent=1) + "\n"


def _points(curve: Curve) -> str:
    head = ("level", "bpp", "PSNR dB", "MS-SSIM", "MS-SSIM dB", "enc MP/s", "dec MP/s")
    rows = [
        (
            str(point.level),
            f"{point.bpp:.3f}",
            f"{point.psnr_db:.2f}",
            "" if point.ms_ssim is None else f"{point.ms_ssim:.4f}",
            "" if point.ms_ssim is None else f"{point.ms_ssim_db:.2f}",
            point.encode_mp_per_cpu_s,
            point.decode_mp_per_cpu_s,
        )
        for point in curve.points
    ]
    peaks = ", ".join(f"{name} {size / 1e6:.0f} MB" for name, size in curve.peak_bytes.items())
    return table(f"{curve.title} ({curve.version}); peak memory: {peaks}", head, rows)


def _differences(ours: Curve, anchors: Sequence[Curve]) -> str:
    rows = []
    for anchor in anchors:
        row = [anchor.title]
        for name in MEASURES:
            found = compared(ours, anchor, name)
            row += ["-", ""] if found is None else [f"{found.percent:+.1f} %", _range(found)]
        rows.append(row)
    points = f"{len(ours.points)} points from {ours.points[0].bpp:.3f} to {ours.points[-1].bpp:.3f} bpp"
    title = f"BD-rate of {ours.title} (fewer bits: negative), PCHIP over the common range; {points}"
    return table(title, ("against", "PSNR", "range dB", "MS-SSIM", "range dB"), rows)


def _range(found: BdRate) -> str:
    return f"{found.lowest:.2f}-{found.highest:.2f}"


def _as_json(found: BdRate | None) -> dict[str, Any] | None:
    return None if found is None else asdict(found)
