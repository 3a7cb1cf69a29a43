"""Fetching: whole files or none, under names that never collide, with a line for every input."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.fake_api import FakeApi, problem
from triptych import ApiError, Client, LocalFile, UploadInput
from triptych.local import look_at

INPUTS = UploadInput(upload_id="upl_" + "0" * 32)


def rows(directory: Path) -> list[dict[str, Any]]:
    text = (directory / "results.jsonl").read_text(encoding="utf-8")
    assert text.endswith("\n") or not text
    return [json.loads(line) for line in text.split("\n") if line]


def start(api: FakeApi, client: Client, names: list[str]) -> str:
    """A finished job over files of these names."""
    api.pages[0] = [{"name": name, "size_bytes": 1} for name in names]
    job = client.create_job("squeeze", INPUTS)
    return client.wait(job.id).id


def test_each_output_is_a_file_and_each_input_a_line(api: FakeApi, client: Client, tmp_path: Path) -> None:
    """`<stem><ext>` for what succeeded, a line in input order for all, the report beside them."""
    api.failing["b.jpg"] = "undecodable_image"
    fetched = client.fetch(start(api, client, ["x/a.jpg", "b.jpg", "c.png"]), tmp_path / "out")
    assert (fetched.succeeded, fetched.failed, fetched.files) == (2, 1, 2)
    assert (tmp_path / "out/a.tri").read_bytes() == b"output 0"
    assert (tmp_path / "out/c.tri").read_bytes() == b"output 2"
    lines = rows(tmp_path / "out")
    assert [(line["custom_id"], line["status"], line["file"]) for line in lines] == [
        ("x/a.jpg", "succeeded", "a.tri"),
        ("b.jpg", "failed", None),
        ("c.png", "succeeded", "c.tri"),
    ]
    assert lines[0]["receipt"]["bytes_out"] == 8
    assert lines[1]["error"] == {"code": "undecodable_image", "message": "broken"}
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "a.tri",
        "c.tri",
        "report.html",
        "results.jsonl",
    ]


def test_equal_stems_never_overwrite_each_other(api: FakeApi, client: Client, tmp_path: Path) -> None:
    """Also where only case, the folder, the extension or the form of Unicode differs."""
    names = ["a.jpg", "a.png", "sub/A.jpg", "caf\u00e9.jpg", "cafe\u0301.jpg", "a-2.jpg"]
    client.fetch(start(api, client, names), tmp_path / "out")
    files = [line["file"] for line in rows(tmp_path / "out")]
    assert files == ["a.tri", "a-2.tri", "A-3.tri", "caf\u00e9.tri", "caf\u00e9-2.tri", "a-2-2.tri"]
    for index, file in enumerate(files):
        assert (tmp_path / "out" / file).read_bytes() == f"output {index}".encode()


def test_what_was_there_before_stays(api: FakeApi, client: Client, tmp_path: Path) -> None:
    """Originals in the folder of the results, a report of somebody's: outputs get other names.

    Fetched again, also by another job, they get the same ones: what a fetch has brought, a fetch replaces.
    """
    out = tmp_path / "out"
    out.mkdir()
    mine = {"a.tri": b"mine", "REPORT.html": b"", "report.html": b"mine too", "b.txt": b"notes"}
    for name, data in mine.items():
        (out / name).write_bytes(data)
    for _ in range(2):
        client.fetch(start(api, client, ["a.jpg", "b.jpg"]), out)
        assert [row["file"] for row in rows(out)] == ["a-2.tri", "b.tri"]
        assert {name: (out / name).read_bytes() for name in mine} == mine
        assert (out / "a-2.tri").read_bytes() == b"output 0"
    others = {"a-2.tri", "b.tri", "results.jsonl", "triptych-report.html"}
    assert {path.name for path in out.iterdir()} == others | set(mine)


def test_files_of_a_broken_fetch_are_known_again(api: FakeApi, client: Client, tmp_path: Path) -> None:
    """Though no line says so yet: the batch was under way."""
    job_id = start(api, client, ["a.jpg", "b.jpg"])
    api.faults.append(
        lambda request: problem(401, "unauthenticated", "") if "items/1" in request.url.path else None
    )
    with pytest.raises(ApiError):
        client.fetch(job_id, tmp_path / "out")
    assert (tmp_path / "out/a.tri").exists()
    api.faults.clear()
    client.fetch(job_id, tmp_path / "out")
    assert [row["file"] for row in rows(tmp_path / "out")] == ["a.tri", "b.tri"]


def test_a_download_that_breaks_leaves_no_file_under_its_name(
    api: FakeApi, client: Client, tmp_path: Path
) -> None:
    """A broken body is tried again; what stays broken leaves neither the file nor its part."""
    job_id = start(api, client, ["a.jpg"])

    async def broken() -> AsyncIterator[bytes]:
        yield b"out"
        raise httpx.ReadError("gone")

    api.faults.append(
        lambda request: httpx.Response(200, content=broken()) if request.url.path == "/out/0" else None
    )
    with pytest.raises(Exception, match="gone"):
        client.fetch(job_id, tmp_path / "out")
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {".results.jsonl.part", ".results.jsonl.names"}


def test_a_broken_fetch_goes_on_where_it_stopped(
    api: FakeApi, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is here whole is not fetched again; a file that was meddled with is."""
    monkeypatch.setattr("triptych.fetching.BATCH", 1)
    job_id = start(api, client, ["a.jpg", "b.jpg", "c.jpg"])
    api.faults.append(lambda request: httpx.Response(403) if request.url.path == "/out/2" else None)
    api.faults.append(
        lambda request: problem(401, "unauthenticated", "") if "items/2" in request.url.path else None
    )
    with pytest.raises(ApiError):
        client.fetch(job_id, tmp_path / "out")
    api.faults.clear()
    (tmp_path / "out/b.tri").write_bytes(b"cut")
    api.requests.clear()
    client.fetch(job_id, tmp_path / "out")
    assert [request for request in api.requests if request.startswith("GET /out/")] == [
        "GET /out/1",
        "GET /out/2",
    ]
    assert [(tmp_path / f"out/{name}.tri").read_bytes() for name in "abc"] == [
        b"output 0",
        b"output 1",
        b"output 2",
    ]
    api.requests.clear()
    client.fetch(job_id, tmp_path / "out")
    assert not [request for request in api.requests if request.startswith("GET /out/")]


def test_another_jobs_files_are_not_taken_for_this_ones(api: FakeApi, client: Client, tmp_path: Path) -> None:
    """A file of the same name and size that another job's fetch has brought is replaced."""
    client.fetch(start(api, client, ["a.jpg"]), tmp_path / "out")
    (tmp_path / "out/a.tri").write_bytes(b"OUTPUT 0")
    line = {**rows(tmp_path / "out")[0], "output": "jobs/another/outputs/00000000.tri"}
    (tmp_path / "out/results.jsonl").write_text(json.dumps(line) + "\n", encoding="utf-8")
    client.fetch(start(api, client, ["a.jpg"]), tmp_path / "out")
    assert (tmp_path / "out/a.tri").read_bytes() == b"output 0"


def test_an_output_that_is_gone_fails_its_line_only(api: FakeApi, client: Client, tmp_path: Path) -> None:
    """The others are fetched, and the line says why this one was not."""
    job_id = start(api, client, ["a.jpg", "b.jpg"])
    gone = problem(404, "object_not_found", "deleted")
    api.faults.append(lambda request: gone if request.url.path.endswith("/items/0/output") else None)
    fetched = client.fetch(job_id, tmp_path / "out")
    assert (fetched.succeeded, fetched.failed, fetched.files) == (1, 1, 1)
    assert rows(tmp_path / "out")[0]["error"] == {"code": "object_not_found", "message": "deleted"}


def test_inputs_that_never_left_get_their_line_in_their_place(
    api: FakeApi, client: Client, tmp_path: Path
) -> None:
    """Unreadable before the upload, or vanished in it: a failed line, in input order, under its own name."""
    inputs = [
        LocalFile(tmp_path / "1", "one\nline.jpg", 1),
        LocalFile(tmp_path / "2", "two.jpg", error="permission denied"),
        LocalFile(tmp_path / "3", "three.jpg", 1),
        LocalFile(tmp_path / "4", "four.jpg", 1),
    ]
    api.failing["three.jpg"] = "input_missing"
    job_id = start(api, client, ["one\nline.jpg", "three.jpg", "four.jpg"])
    fetched = client.fetch(job_id, tmp_path / "out", inputs=inputs, unsent={1: "no such file"})
    lines = rows(tmp_path / "out")
    assert [line["custom_id"] for line in lines] == [file.name for file in inputs]
    assert [line["index"] for line in lines] == [0, 1, 2, 3]
    assert [line["status"] for line in lines] == ["succeeded", "failed", "failed", "succeeded"]
    assert lines[1]["error"] == {"code": "input_unreadable", "message": "permission denied"}
    assert lines[2]["error"] == {"code": "input_unreadable", "message": "no such file"}
    assert (tmp_path / "out" / lines[3]["file"]).read_bytes() == b"output 2"
    assert fetched.failed == 2


def test_the_reports_own_names_stay_its_own(api: FakeApi, client: Client, tmp_path: Path) -> None:
    """An output called report.html or results.jsonl overwrites neither."""
    lines = [
        {"index": 0, "custom_id": "report.png", "status": "succeeded", "output": "o/0.html"},
        {"index": 1, "custom_id": "Results.png", "status": "succeeded", "output": "o/1.jsonl"},
    ]
    job_id = start(api, client, ["report.png", "Results.png"])
    text = "".join(f"{json.dumps(line)}\n" for line in lines)
    api.faults.append(
        lambda request: httpx.Response(200, text=text) if request.url.path.endswith("/results") else None
    )
    client.fetch(job_id, tmp_path / "out")
    assert [row["file"] for row in rows(tmp_path / "out")] == ["report..html", "Results..jsonl"]
    assert (tmp_path / "out/report.html").read_text() == "<html>report</html>"


def test_names_of_no_encoding_survive(tmp_path: Path) -> None:
    """A file name that is not UTF-8 has a name that JSON can carry, and its bytes are still found."""
    path = tmp_path / "caf\udce9.jpg"
    path.write_bytes(b"x")
    file = look_at(path)
    assert file.name.encode("utf-8").endswith(b"caf\\xe9.jpg")
    assert file.path.read_bytes() == b"x"


def test_folders_are_kept_on_request(api: FakeApi, client: Client, tmp_path: Path) -> None:
    """As the inputs' names have them, below the folder of the results, whatever the names are."""
    names = ["2019/a.jpg", "2020/a.jpg", "2020/A.png", "/etc/a.jpg", "../up/a.jpg", "c?n/con/b.jpg", "d.jpg"]
    out = tmp_path / "out"
    (out / "2020").mkdir(parents=True)
    (out / "2020/a.tri").write_bytes(b"mine")
    for _ in range(2):
        client.fetch(start(api, client, names), out, keep_folders=True)
        files = [row["file"] for row in rows(out)]
        assert files == [
            *("2019/a.tri", "2020/a-2.tri", "2020/A-3.tri", "etc/a.tri", "up/a.tri"),
            *("c_n/_con/b.tri", "d.tri"),
        ]
        assert [(out / file).read_bytes() for file in files] == [b"output %d" % i for i in range(7)]
        assert (out / "2020/a.tri").read_bytes() == b"mine"
