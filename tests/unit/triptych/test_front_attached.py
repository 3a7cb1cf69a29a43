"""Local files in params: uploaded, and named by their place in the upload."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from pipeline.core.references import nth_file, uploaded_file
from pipeline.core.uploads import MAX_PAGE_FILES
from pipeline.operations import stylize
from tests.support.fake_api import FakeApi
from triptych import Client, OperationInfo, PrefixInput
from triptych.commands.params import add_params, given_params

INPUTS = PrefixInput(prefix="owners/ann/in/")


def given(*arguments: str) -> dict[str, object]:
    parser = argparse.ArgumentParser(exit_on_error=False)
    schema = stylize.OPERATION.params.model_json_schema()
    add_params(parser, OperationInfo(name="stylize", params_schema=schema))
    return given_params(parser.parse_args(arguments))


def test_paths_are_uploaded(api: FakeApi, client: Client, tmp_path: Path) -> None:
    """Each file once, in one upload; strings and numbers stay as they are."""
    style, mask = tmp_path / "s.jpg", tmp_path / "m.png"
    style.write_bytes(b"style")
    mask.write_bytes(b"mask")
    params = {"styles": ["wave", style, style], "mask": (mask,), "strength": 0.5}
    job = client.create_job("stylize", INPUTS, params=params)
    sent = api.bodies[job.id]["steps"][0]["params"]
    first, second = sent["styles"][1], sent["mask"][0]
    assert sent == {"styles": ["wave", first, first], "mask": [second], "strength": 0.5}
    assert (uploaded_file(first), uploaded_file(second)) != (None, None)
    assert [uploaded_file(name).place for name in (first, second)] == [0, 1]  # type: ignore[union-attr]
    assert [api.objects[f"/0/{place}"] for place in (0, 1)] == [b"style", b"mask"]


def test_a_request_can_be_repeated(api: FakeApi, client: Client, tmp_path: Path) -> None:
    """What was attached once is sent as it is."""
    style = tmp_path / "s.jpg"
    style.write_bytes(b"style")
    params = client.attach({"styles": [style]})
    jobs = [client.create_job("stylize", INPUTS, params=params, idempotency_key="k") for _ in range(2)]
    assert jobs[0].id == jobs[1].id


def test_unreadable_files(client: Client, tmp_path: Path) -> None:
    """Nothing is submitted without them."""
    with pytest.raises(OSError, match=r"gone\.jpg: no such file"):
        client.create_job("stylize", INPUTS, params={"styles": [tmp_path / "gone.jpg"]})


def test_flags_take_local_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is there is a path; a bare word is a name, whatever lies in the folder; a key is a key."""
    monkeypatch.chdir(tmp_path)
    for name in ("wave", "mine.jpg", "mask.png"):
        Path(name).write_bytes(b"x")
    found = given(
        "--styles", "wave,mine.jpg,./wave,owners/ann/x.jpg", "--mask", "mask.png", "--strength", "0.5"
    )
    assert found == {
        "styles": ["wave", Path("mine.jpg"), Path("wave"), "owners/ann/x.jpg"],
        "mask": [Path("mask.png")],
        "strength": 0.5,
    }
    assert given("-p", "styles=mine.jpg") == {"styles": [Path("mine.jpg")]}
    with pytest.raises(argparse.ArgumentError, match=r"no file '\./gone\.jpg'"):
        given("--styles", "wave,./gone.jpg")


def test_files_by_number() -> None:
    """Pages hold a thousand files."""
    upload = "upl_" + "a" * 32
    assert str(nth_file(upload, 2 * MAX_PAGE_FILES + 7)) == f"{upload}/2/7"
    assert uploaded_file(upload) == nth_file(upload, 0)
    assert uploaded_file(f"{upload}/2/7") == nth_file(upload, 2 * MAX_PAGE_FILES + 7)
    for other in ("upl_1/0/0", f"{upload}/0", f"{upload}/x/0", f"x/{upload}", f"{upload}/0/0/0"):
        assert uploaded_file(other) is None
