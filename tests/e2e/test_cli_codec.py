"""What people do with compress and decompress, through the whole stack."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.codec.container import parse
from tests.support import icc
from tests.support.codec import codec, landscape
from tests.support.command_line import Up, triptych

COUNT = 6


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with photos, one with a profile, and a dot that no codec makes smaller."""
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(COUNT):
        photo = Image.fromarray(landscape(170 + number, 200, seed=number))
        photo.save(folder / f"{number}.png", icc_profile=icc.display_p3() if number == 0 else None)
    Image.new("L", (3, 2), 90).save(folder / "dot.gif")
    return tmp_path


def receipts(folder: Path) -> dict[str, dict[str, Any]]:
    lines = map(json.loads, (folder / "results.jsonl").read_text().splitlines())
    return {Path(line["custom_id"]).name: line["receipt"] for line in lines}


def run(up: Up, place: Path, *arguments: str) -> None:
    done = triptych("run", *arguments, env={**up.env, "TRIPTYCH_URL": up.url}, cwd=place)
    assert done.returncode == 0, done.stderr


def test_into_so_many_bytes_and_back(up: Up, place: Path) -> None:
    """Every photo fits, the dot is kept as it is, and what comes back is all of it."""
    run(up, place, "compress", "in", "-o", "out", "--max-bytes", "4000", "--fallback", "keep_original",
        "--keep", "icc", "--preview")  # fmt: skip
    names = sorted(path.name for path in (place / "out").iterdir())
    assert names == [*(f"{n}.tri" for n in range(COUNT)), "dot.gif", "report.html", "results.jsonl"]
    assert (place / "out/dot.gif").read_bytes() == (place / "in/dot.gif").read_bytes()
    found = receipts(place / "out")
    assert found["dot.gif"]["kept_original"]
    for number in range(COUNT):
        data, receipt = (place / f"out/{number}.tri").read_bytes(), found[f"{number}.png"]
        assert len(data) == receipt["bytes_out"] <= 4000
        assert parse(data).quality == receipt["quality"]
        assert (receipt["measured"], receipt["ms_ssim"] > 0.8) == (True, True)
    assert parse((place / "out/0.tri").read_bytes()).extras.icc == icc.display_p3()
    assert "original kept" in (place / "out/report.html").read_text()

    run(up, place, "decompress", "out", "-o", "back", "--format", "tiff")
    assert len(list((place / "back").glob("*.tif"))) == COUNT + 1
    with Image.open(place / "back/0.tif") as image:
        assert image.info["icc_profile"] == icc.display_p3()
        expected = codec().decode(parse((place / "out/0.tri").read_bytes()))
        assert np.array_equal(np.asarray(image), expected)


def test_as_close_as_asked(up: Up, place: Path) -> None:
    """Every photo is at least as close, with a PSNR in its receipt also where nothing else is measured."""
    run(up, place, "compress", "in/[0-9].png", "-o", "out", "--min-psnr-db", "34", "--measure", "none")
    for receipt in receipts(place / "out").values():
        assert receipt["psnr_db"] >= 34
        assert receipt["ms_ssim"] is None


def test_tri_files_are_images(up: Up, place: Path) -> None:
    """The outputs of one job are the inputs of the next; parts of them decode by themselves."""
    run(up, place, "compress", "in/[0-9].png", "-o", "first", "--quality", "90")
    run(up, place, "compress", "first", "-o", "second", "--quality", "20")
    sizes = {name: [(place / name / f"{n}.tri").stat().st_size for n in range(COUNT)]
             for name in ("first", "second")}  # fmt: skip
    assert all(b < a for a, b in zip(sizes["first"], sizes["second"], strict=True))
    run(up, place, "decompress", "first", "-o", "part", "--region", "10,20,30,40")
    with Image.open(place / "part/3.png") as image:
        whole = codec().decode(parse((place / "first/3.tri").read_bytes()))
        assert np.array_equal(np.asarray(image), whole[20:60, 10:40])
    run(up, place, "decompress", "first", "-o", "small", "--reduced", "--format", "webp")
    with Image.open(place / "small/3.webp") as image:
        assert image.size == (25, 22)


def test_two_targets_are_refused(up: Up, place: Path) -> None:
    """Before anything is made: exit code 2, and the reason."""
    arguments = ("run", "compress", "in", "-o", "out", "--quality", "5", "--max-bytes", "9")
    done = triptych(*arguments, env={**up.env, "TRIPTYCH_URL": up.url}, cwd=place)
    assert done.returncode == 2
    assert "not quality and max_bytes together" in done.stderr
