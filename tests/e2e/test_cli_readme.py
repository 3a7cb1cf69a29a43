"""What the README tells people to type works, word for word."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.support.command_line import COMMAND, Up
from tests.support.image_bytes import picture
from tests.support.servers import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
LINES = [
    line.partition("#")[0].strip() for kind, block in BLOCKS if kind == "sh" for line in block.splitlines()
]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "photos").mkdir()
    for name in ("a.jpg", "b.jpg"):
        picture().save(tmp_path / "photos" / name)
    picture(90, 70).save(tmp_path / "mine.jpg")  # a style
    return tmp_path


def test_the_commands_in_order(up: Up, place: Path) -> None:
    """Every `triptych ...` line that ends by itself, against a server where one is needed."""
    commands = [shlex.split(line) for line in LINES if line.startswith("triptych ")]
    ran, job = [], ""
    for _, verb, *arguments in commands:
        if verb != "up":  # it runs here
            env = {**up.env, "TRIPTYCH_URL": up.url}
            done = subprocess.run(
                [*COMMAND, verb, *(job if argument == "JOB" else argument for argument in arguments)],
                env=env,
                cwd=place,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            assert done.returncode == 0, (verb, done.stderr)
            ran.append(verb)
            job = done.stdout.strip() if verb == "submit" else job
    verbs = [*["run"] * 2, "operations", *["run"] * 3, "decode", *["run"] * 2, "submit", "watch", "search"]
    assert ran == verbs
    assert (place / "a.png").is_file()
    assert sorted(path.name for path in (place / "back").glob("*.png")) == ["a.png", "b.png"]


def test_the_programs(up: Up, place: Path) -> None:
    """The Python of the README, one after the other, as it stands but for the port."""
    for program in (block for kind, block in BLOCKS if kind == "python"):
        (place / "program.py").write_text(program.replace("http://127.0.0.1:8000", up.url))
        subprocess.run([COMMAND[0], "program.py"], env=up.env, cwd=place, timeout=60, check=True)
    assert (place / "a.jpg").is_file()
    assert sorted(path.name for path in (place / "out").glob("*.tri")) == ["a.tri", "b.tri"]


def test_the_rest_names_what_there_is() -> None:
    """Targets of make, files that it links to, extras that pip is asked for."""
    targets = [line.split()[1] for line in LINES if line.startswith("make ")]
    assert targets == ["demo", "test"]
    for target in (*targets, "check", "help"):
        subprocess.run(["make", "-n", target], cwd=ROOT, check=True, capture_output=True)
    for link in re.findall(r"\]\(([^):]+)\)", README):
        assert (ROOT / link).exists(), link
    project = (ROOT / "pyproject.toml").read_text()
    for extra in re.findall(r"\[(\w+)\]'", README):
        assert f"\n{extra} = [" in project
    for line in LINES:
        for path in re.findall(r"deploy/[\w./]+", line):
            assert (ROOT / path).exists(), path
