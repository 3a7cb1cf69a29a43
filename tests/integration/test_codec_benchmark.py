"""The codec comparison on two small pictures, with the processes that it really uses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from tests.benchmarks.codec.curves import curve_of
from tests.benchmarks.codec.processes import Task, measure
from tests.benchmarks.codec.report import json_report, text_report
from tests.support.codec import landscape

LEVELS = {"tri": (20, 80), "jpeg": (40, 80)}


@pytest.fixture
def task(tmp_path: Path) -> Task:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for seed, size in enumerate([(170, 200), (200, 161)]):
        Image.fromarray(landscape(*size, seed)).save(pictures / f"{seed}.png")
    return Task(sorted(pictures.iterdir()), tmp_path / "out")


def test_bits_are_those_of_files(task: Task) -> None:
    """Sizes are those of the files on disk, which the decoding process had and nothing else."""
    curves = [curve_of(codec, measure(task, codec, levels)) for codec, levels in LEVELS.items()]
    for curve, (codec, levels) in zip(curves, LEVELS.items(), strict=True):
        for point, level in zip(curve.points, levels, strict=True):
            sizes = [path.stat().st_size for path in sorted((task.folder / codec / str(level)).iterdir())]
            areas = [170 * 200, 200 * 161]
            wanted = sum(8 * size / area for size, area in zip(sizes, areas, strict=True)) / 2
            assert point.level == level
            assert point.bpp == pytest.approx(wanted)
        assert curve.points[0].psnr_db < curve.points[1].psnr_db
        assert curve.points[0].ms_ssim is not None
    assert json.loads(json_report(curves, task.images))["curves"][0]["codec"] == "tri"
    assert "BD-rate of Triptych" in text_report(curves, task.images)


def test_anchors_are_measured_once(task: Task) -> None:
    """Kept results are used for the same pictures and levels, and for no others."""
    first = measure(task, "jpeg", (40,))
    (task.folder / "jpeg" / "40" / "0.png.jpg").unlink()
    assert measure(task, "jpeg", (40,)) == first
    again = measure(task, "jpeg", (40, 60))
    assert {one["level"] for one in again["decode"]["results"]} == {40, 60}
