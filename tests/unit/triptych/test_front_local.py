"""Arguments become inputs: in a steady order, each once, none silently lost."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from triptych.local import NoSuchInput, find_inputs, look_at


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in (
        "in/b.jpg",
        "in/a.jpg",
        "in/sub/c.png",
        "in/.hidden",
        "in/.git/x",
        "in/out/old.tri",
        "in/sub2/d",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(*arguments: str, leave_out: Path | None = None) -> list[str]:
    return [file.name for file in find_inputs(arguments, leave_out=leave_out)]


def test_a_folder_is_all_that_is_in_it(tree: Path) -> None:
    """Sorted, with folders in it, without hidden names, under the name as given."""
    assert names("in") == ["in/a.jpg", "in/b.jpg", "in/out/old.tri", "in/sub/c.png", "in/sub2/d"]


def test_results_of_before_are_no_inputs(tree: Path) -> None:
    """The folder that results go to is left out."""
    assert names("in", leave_out=Path("in/out")) == ["in/a.jpg", "in/b.jpg", "in/sub/c.png", "in/sub2/d"]


def test_results_of_another_run_are_inputs_without_its_own_two_files(tree: Path) -> None:
    """What `compress` wrote to a folder, `decompress` reads from it."""
    for name in ("results.jsonl", "report.html"):
        Path("in/out", name).write_bytes(b"{}")
    Path("in/report.html").write_bytes(b"somebody's own")
    assert names("in/out") == ["in/out/old.tri"]
    assert "in/report.html" in names("in")


def test_patterns_and_repetitions(tree: Path) -> None:
    """A pattern is expanded, in order of the arguments; what is named twice is one input."""
    assert names("in/*.jpg", "in/a.jpg", "./in/b.jpg") == ["in/a.jpg", "in/b.jpg"]
    assert names("in/**/*.png") == ["in/sub/c.png"]
    assert names("in/sub?") == ["in/sub2/d"]


def test_a_name_with_brackets_is_itself_first(tree: Path) -> None:
    """A file that is there is not taken for a pattern."""
    Path("in/[a].jpg").write_bytes(b"x")
    assert names("in/[a].jpg") == ["in/[a].jpg"]


@pytest.mark.parametrize("argument", ["nothing.jpg", "no*thing", "empty"])
def test_what_matches_nothing_is_said(tree: Path, argument: str) -> None:
    """Before anything is started."""
    Path("empty").mkdir()
    with pytest.raises(NoSuchInput, match="no "):
        find_inputs([argument])


def test_what_cannot_be_read_is_an_input_with_an_error(tree: Path) -> None:
    """Broken links and what is no file keep their place, and nobody waits for a pipe."""
    os.symlink("nowhere", "in/broken.jpg")
    os.mkfifo("in/pipe")
    found = {file.name: file for file in find_inputs(["in"])}
    assert "no such file" in found["in/broken.jpg"].error
    assert found["in/pipe"].error == "not a regular file"
    assert found["in/a.jpg"].size_bytes == len("in/a.jpg")


def test_permission_denied(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file without permission is an input with an error."""
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # no mode keeps root out
    assert look_at("in/a.jpg").error == "permission denied"


def test_long_names_are_declared_by_their_end(tree: Path) -> None:
    """The server's limit cuts what it is told, not what the results say."""
    file = look_at("in/a.jpg", "x/" * 2000 + "a.jpg")
    assert len(file.wire_name) == 1024
    assert file.wire_name.endswith("x/a.jpg")


def test_what_earlier_runs_have_brought_is_no_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sidecars beside the photos: the next run over the folder takes the photos only, unless one is named."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    for name in ("a.jpg", "a.xmp", "b.xmp"):
        (tmp_path / "photos" / name).write_bytes(b"x")
    line = {"output": "jobs/j/outputs/0.xmp", "file": "photos/a.xmp"}
    (tmp_path / "results.jsonl").write_text(json.dumps(line) + "\n")
    found = find_inputs(["photos"], leave_out=Path())
    assert [file.name for file in found] == ["photos/a.jpg", "photos/b.xmp"]
    found = find_inputs(["photos/a.xmp"], leave_out=Path())
    assert [file.name for file in found] == ["photos/a.xmp"]
    (tmp_path / "photos/a.jpg").unlink()
    (tmp_path / "photos/b.xmp").unlink()
    with pytest.raises(NoSuchInput, match="earlier runs"):
        find_inputs(["photos"], leave_out=Path())
