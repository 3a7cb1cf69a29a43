"""What people do with stylize, through the whole stack: gallery styles, own ones, masks, and mistakes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.codec.container import parse
from tests.support.codec import landscape
from tests.support.command_line import Up, triptych
from tests.support.stylize import gallery_path
from triptych import Client

COUNT = 4


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with photos, one of them transparent, a style and a mask."""
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(COUNT):
        photo = Image.fromarray(landscape(60, 80, seed=number))
        if number == 0:
            photo.putalpha(Image.linear_gradient("L").resize((80, 60)))
        photo.save(folder / f"{number}.png")
    (tmp_path / "mine.jpg").write_bytes(gallery_path("glass").read_bytes())
    Image.fromarray(np.repeat(np.array([[0, 255]], np.uint8), 40, axis=1).repeat(60, axis=0)).save(
        tmp_path / "mask.png"
    )
    return tmp_path


def ran(up: Up, place: Path, *arguments: str) -> Any:
    done = triptych(*arguments, env={**up.env, "TRIPTYCH_URL": up.url}, cwd=place)
    assert done.returncode == 0, done.stderr
    return done


def receipts(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line)["receipt"] for line in (folder / "results.jsonl").read_text().splitlines()]


def test_a_folder_in_a_style(up: Up, place: Path) -> None:
    """One file a picture, under its name; alpha makes it a PNG; the report shows both pictures of each."""
    ran(up, place, "run", "stylize", "in", "-o", "out", "--styles", "wave", "--strength", "0.8")
    names = sorted(path.name for path in (place / "out").iterdir())
    assert names == ["0.png", *(f"{n}.jpg" for n in range(1, COUNT)), "report.html", "results.jsonl"]
    with Image.open(place / "out/0.png") as image:
        assert (image.mode, image.size) == ("RGBA", (80, 60))
    report = (place / "out/report.html").read_text()
    assert report.count("<figcaption>stylized</figcaption>") == COUNT
    assert "in the style of <b>wave</b>" in report
    assert {tuple(receipt["styles"]) for receipt in receipts(place / "out")} == {("wave",)}


def test_own_files_as_style_and_mask(up: Up, place: Path) -> None:
    """They are uploaded by the way, from the command line as from Python."""
    own = ("--styles", "mine.jpg", "--mask", "mask.png", "--mask-feather-px", "0")
    ran(up, place, "run", "stylize", "in/[1-3].png", "-o", "out", *own, "--format", "png")
    with Image.open(place / "out/1.png") as image:
        painted = np.asarray(image)
    original = landscape(60, 80, seed=1)
    assert np.array_equal(painted[:, :32], original[:, :32])
    assert not np.array_equal(painted[:, 48:], original[:, 48:])
    with Client(up.url) as client:
        upload = client.upload([place / "in/1.png"])
        params = {"styles": [place / "mine.jpg"], "mask": [place / "mask.png"], "mask_feather_px": 0}
        job = client.create_job("stylize", upload.inputs, params={**params, "format": "png"})
        client.wait(job.id)
        client.fetch(job.id, place / "python")
    assert (place / "python/1.png").read_bytes() == (place / "out/1.png").read_bytes()


def test_painted_and_compressed_in_one_job(up: Up, place: Path) -> None:
    """Two steps: what the first has painted is nowhere but in the second one's files."""
    job = ("run", "stylize", "in", "-o", "both", "--styles", "night", "--then", "compress", "--quality", "70")
    ran(up, place, *job)
    names = sorted(path.name for path in (place / "both").iterdir())
    assert names == [*(f"{n}.tri" for n in range(COUNT)), "report.html", "results.jsonl"]
    for receipt in receipts(place / "both"):
        assert receipt["quality"] == 70
        assert [step["styles"] for step in receipt["steps"]] == [["night"]]
    with Client(up.url) as client:
        upload = client.upload([place / "in/1.png"])
        later = [("compress", {"quality": 70}), ("decompress", {"format": "png"}), ("describe", {})]
        made = client.create_job("stylize", upload.inputs, params={"styles": ["night"]}, then=later)
        client.wait(made.id)
        (line,) = client.results(made.id)
    assert line.receipt is not None
    assert line.receipt["text"]
    assert len(line.receipt["steps"]) == 3


def test_painted_then_compressed(up: Up, place: Path) -> None:
    """Two jobs in a row, the second over what the first has put into the bucket; then back from .tri."""
    painted = "owners/local/painted/"
    job = ran(up, place, "submit", "stylize", "in", "--output-prefix", painted, "--styles", "night", "--json")
    ran(up, place, "watch", json.loads(job.stdout)["id"])
    job = ran(up, place, "submit", "compress", "--from-prefix", painted, "--quality", "70", "--json")
    job_id = json.loads(job.stdout)["id"]
    ran(up, place, "watch", job_id)
    ran(up, place, "fetch", job_id, "-o", "small")
    files = [parse(path.read_bytes()) for path in sorted((place / "small").glob("*.tri"))]
    assert [(file.width_px, file.height_px) for file in files] == [(80, 60)] * COUNT
    ran(
        up,
        place,
        "run",
        "stylize",
        "small",
        "-o",
        "again",
        "--styles",
        "wave,night",
        "--style-weights",
        "3,1",
    )
    assert len(receipts(place / "again")) == COUNT


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--styles", "monet"], "no style 'monet' in the gallery"),
        (["--styles", "wave,night", "--style-weights", "1"], "2 styles and 1 weights"),
        (["--styles", "wave", "--strength", "1.5"], "from 0 to 1"),
        (["--styles", "wave", "--alpha", "0.5", "--strength", "0.5"], "not both"),
        ([], "steps.0.params.styles"),
    ],
)
def test_wrong_words(up: Up, place: Path, arguments: list[str], words: str) -> None:
    """Refused before anything runs: exit code 2, and what is wrong."""
    env = {**up.env, "TRIPTYCH_URL": up.url}
    done = triptych("run", "stylize", "in", "-o", "out", *arguments, env=env, cwd=place)
    assert done.returncode == 2
    assert words in done.stderr


def test_wrong_files(up: Up, place: Path) -> None:
    """A style that is no picture fails every item, by its name; the exit code says so."""
    (place / "notes.txt").write_text("no picture")
    env = {**up.env, "TRIPTYCH_URL": up.url}
    done = triptych("run", "stylize", "in", "-o", "out", "--styles", "notes.txt", env=env, cwd=place)
    assert done.returncode == 4
    lines = map(json.loads, (place / "out/results.jsonl").read_text().splitlines())
    errors = [line["error"] for line in lines]
    assert {error["code"] for error in errors} == {"unusable_object"}
    assert "this is text" in errors[0]["message"]
