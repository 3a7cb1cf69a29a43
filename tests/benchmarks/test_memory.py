"""How much memory a picture of 100 megapixels takes, from file to file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.support.codec import landscape
from tests.support.measure import table
from tests.support.servers import ROOT

SIDE_PX = 10_000
MOST_BYTES = 1.5e9
COARSE = {"styles": ["wave"], "stroke_scale": 4, "preserve_colors": "luma", "format": "png"}


@pytest.mark.timeout(1200)
def test_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """100 MP: JPEG to .tri, .tri to PNG, and JPEG painted, in less than 1.5 GB resident each."""
    picture = tmp_path / "picture.jpg"
    part = landscape(SIDE_PX // 10, SIDE_PX // 10)
    Image.fromarray(np.tile(part, (10, 10, 1))).save(picture, quality=90)
    coded, back, painted = (tmp_path / name for name in ("picture.tri", "picture.png", "painted.jpg"))
    measured = {
        "compress": one_item("compress", {"quality": 50}, picture, coded),
        "decompress": one_item("decompress", {"format": "png"}, coded, back),
        "stylize": one_item("stylize", {"styles": ["wave"]}, picture, painted),
        "stylize, coarse, own colours": one_item("stylize", COARSE, picture, tmp_path / "coarse.png"),
    }
    rows = [
        [name, one["peak_bytes"] / 1e6, one["cpu_s"], json.dumps(one["receipt"]["seconds"])]
        for name, one in measured.items()
    ]
    print(table("100 MP in a process of its own", ("", "peak MB", "CPU s", "seconds a stage"), rows))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    for path in (back, painted):
        with Image.open(path) as image:
            assert image.size == (SIDE_PX, SIDE_PX)
    assert max(one["peak_bytes"] for one in measured.values()) < MOST_BYTES


def one_item(operation: str, params: dict[str, Any], source: Path, target: Path) -> dict[str, Any]:
    """What the process printed."""
    argv = [
        sys.executable,
        "-m",
        "tests.support.one_item",
        operation,
        json.dumps(params),
        str(source),
        str(target),
    ]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(argv, cwd=ROOT, env=env, stdout=subprocess.PIPE, check=True)
    measured: dict[str, Any] = json.loads(done.stdout)
    return measured
