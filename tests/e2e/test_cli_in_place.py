"""`triptych decode` and `triptych encode` as processes: no server anywhere."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.codec.container import parse
from tests.support.codec import codec, landscape
from tests.support.command_line import environment, triptych

PIXELS = landscape(131, 173)


def run(home: Path, *arguments: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
    """A command that would fail at once if it looked for a server or a broker."""
    nowhere = {"TRIPTYCH_URL": "http://127.0.0.1:1", "TRIPTYCH_REDIS_URL": "redis://127.0.0.1:1/0"}
    return triptych(*arguments, env=environment(home, **nowhere, **env), cwd=home)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A .tri file."""
    path = tmp_path / "photo.tri"
    path.write_bytes(codec().encode(PIXELS, 60).to_bytes())
    return path


def pixels(path: Path) -> np.ndarray:  # type: ignore[type-arg]
    with Image.open(path) as image:
        return np.asarray(image)


def test_one_file(tmp_path: Path, file: Path) -> None:
    """The picture is the codec's, exact in PNG, and a line says what was written."""
    done = run(tmp_path, "decode", file, "-o", "photo.png")
    assert (done.returncode, done.stderr) == (0, "")
    assert "photo.png" in done.stdout
    assert "173 x 131" in done.stdout
    assert np.array_equal(pixels(tmp_path / "photo.png"), codec().decode(parse(file.read_bytes())))


def test_views_of_one_file(tmp_path: Path, file: Path) -> None:
    """A region is that part of the whole; reduced is an eighth."""
    whole = codec().decode(parse(file.read_bytes()))
    assert run(tmp_path, "decode", file, "-o", "part.tif", "--region", "10,20,30,40").returncode == 0
    assert np.array_equal(pixels(tmp_path / "part.tif"), whole[20:60, 10:40])
    assert run(tmp_path, "decode", file, "-o", "small.webp", "--reduced").returncode == 0
    assert pixels(tmp_path / "small.webp").shape == (17, 22, 3)


def test_there_and_back_with_several_files(tmp_path: Path) -> None:
    """Folders in, folders out; one bad file fails alone, with its code, and the exit code is 4."""
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(5):
        Image.fromarray(landscape(40 + number, 50, seed=number)).save(photos / f"p{number}.png")
    (photos / "broken.png").write_bytes((photos / "p0.png").read_bytes()[:99])
    there = run(tmp_path, "encode", "photos", "-o", "tri/", "--quality", "80", "--measure", "all", "--json")
    assert there.returncode == 4
    lines = [json.loads(line) for line in there.stdout.splitlines()]
    assert [Path(line["input"]).name for line in lines] == ["broken.png", *(f"p{n}.png" for n in range(5))]
    assert lines[0]["error"]["code"] == "undecodable_image"
    assert all(line["receipt"]["psnr_db"] > 25 for line in lines[1:])
    back = run(tmp_path, "decode", "tri", "-o", "back/", "--format", "jpeg")
    assert back.returncode == 0
    assert sorted(path.name for path in (tmp_path / "back").iterdir()) == [f"p{n}.jpg" for n in range(5)]
    again = run(tmp_path, "decode", "tri", "-o", "back/", "--format", "jpeg")
    assert (again.returncode, again.stderr.count("--force overwrites")) == (4, 5)
    assert run(tmp_path, "decode", "tri", "-o", "back", "--format", "jpeg", "--force").returncode == 0


def test_keep_original_has_the_originals_name(tmp_path: Path) -> None:
    """A file that is better kept is not called .tri, and never written over its input."""
    source = tmp_path / "in" / "dot.gif"
    source.parent.mkdir()
    Image.new("L", (3, 2), 90).save(source)
    arguments = ("encode", source, "--fallback", "keep_original", "--preview")
    done = run(tmp_path, *arguments, "-o", "dot.tri")
    assert "kept as it was" in done.stdout
    assert (tmp_path / "dot.gif").read_bytes() == source.read_bytes()
    assert not (tmp_path / "dot.tri").exists()
    same = run(tmp_path, *arguments, "-o", "in/dot.tri")
    assert same.returncode == 4
    assert "is the input itself" in same.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "x.gif"], "must be a folder, or end with .png, .jpg"),
        (["-o", "x.png", "--format", "jpeg"], "--format jpeg, and a file called x.png"),
        (["-o", "x.png", "--region", "0,0,8"], "region"),
        (["-o", "x.png", "--region", "0,0,8,8", "--reduced"], "region or reduced, not both"),
        (["-o", "x.png", "--jpeg-quality", "0"], "from 1 to 100"),
        (["nothing-here.tri", "-o", "x.png"], "no such file"),
    ],
)
def test_wrong_usage(tmp_path: Path, file: Path, arguments: list[str], message: str) -> None:
    """One line on stderr, exit code 2, nothing written."""
    done = run(tmp_path, "decode", file, *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["photo.tri"]


def test_errors_of_a_file(tmp_path: Path, file: Path) -> None:
    """A damaged file, a region outside, a picture over the limit: a line with the code, and no output."""
    (tmp_path / "cut.tri").write_bytes(file.read_bytes()[:-5])
    for arguments, code in (
        (("cut.tri",), "corrupt_bitstream"),
        (("photo.tri", "--region", "0,0,999,1"), "invalid_params"),
    ):
        done = run(tmp_path, "decode", *arguments, "-o", "x.png")
        assert (done.returncode, done.stdout) == (4, "")
        assert f"({code})" in done.stderr
    limited = run(tmp_path, "decode", "photo.tri", "-o", "x.png", TRIPTYCH_MAX_PIXELS="100")
    assert "(image_too_large)" in limited.stderr
    assert not (tmp_path / "x.png").exists()


def test_what_is_not_installed_is_named(tmp_path: Path, file: Path) -> None:
    """Without the runtime: what is missing, and what to install."""
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "onnxruntime.py").write_text("raise ModuleNotFoundError('gone', name='onnxruntime')")
    path = f"{hidden}:{environment(tmp_path)['PYTHONPATH']}"
    done = run(tmp_path, "decode", file, "-o", "x.png", PYTHONPATH=path)
    assert done.returncode == 2
    assert "onnxruntime is not installed: pip install '.[cpu]'" in done.stderr
