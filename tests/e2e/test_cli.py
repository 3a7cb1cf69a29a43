"""The command line against everything real: `triptych up`, then what people do with it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.support.command_line import COMMAND, Up, eventually, running_up, triptych
from tests.support.hostile import OK, make_hostile
from tests.support.image_bytes import picture
from triptych import Client

JOB = re.compile(r"^job_[0-9a-f]{32}$")


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with running_up(tmp_path_factory.mktemp("home"), "--workers", "2") as stack:
        yield stack


def results(folder: Path) -> list[dict[str, Any]]:
    return [
        json.loads(line)
        for line in (folder / "results.jsonl").read_text(encoding="utf-8").split("\n")
        if line
    ]


def save_photos(folder: Path, count: int, side_px: int = 64) -> None:
    folder.mkdir(parents=True)
    for number in range(count):
        picture(side_px + number % 5, side_px).save(folder / f"{number:03d}.png")


def test_good_and_hostile_files_each_get_their_line(up: Up, tmp_path: Path) -> None:
    """One line an input in order, every failure with its code, the same workers afterwards; then back."""
    save_photos(tmp_path / "in/good", 20)
    (tmp_path / "in/odd").mkdir()
    expected = {
        file.path.relative_to(tmp_path).as_posix(): file.outcome for file in make_hostile(tmp_path / "in/odd")
    }
    expected |= {f"in/good/{number:03d}.png": OK for number in range(20)}
    before = up.workers()
    assert len(before) == 3
    env = {**up.env, "TRIPTYCH_URL": up.url}
    run = triptych("run", "compress", "in", "-o", "out", "--quality", "40", env=env, cwd=tmp_path)
    assert run.returncode == 4, run.stderr
    lines = results(tmp_path / "out")
    assert [line["custom_id"] for line in lines] == sorted(expected, key=lambda name: name.split("/"))
    outcomes = {line["custom_id"]: line["error"]["code"] if "error" in line else OK for line in lines}
    assert outcomes == expected
    files = [line["file"] for line in lines if line["file"]]
    assert len({file.casefold() for file in files}) == len(files)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {*files, "results.jsonl", "report.html"}
    assert up.workers() == before

    back = triptych(
        "run", "decompress", "out/0*.tri", "-o", "back", "--format", "webp", env=env, cwd=tmp_path
    )
    assert back.returncode == 0, back.stderr
    with Image.open(tmp_path / "back/003.webp") as image:
        assert image.size == (67, 64)


def test_in_steps_by_the_jobs_id(up: Up, tmp_path: Path) -> None:
    """submit, status, watch, fetch, cancel find the running `triptych up` by themselves."""
    save_photos(tmp_path / "in", 6)
    submitted = triptych("submit", "compress", "in", "--name", "six", env=up.env, cwd=tmp_path)
    job_id = submitted.stdout.strip()
    assert JOB.match(job_id), submitted.stderr
    watched = triptych("watch", job_id, "--json", env=up.env, cwd=tmp_path)
    assert watched.returncode == 0
    assert json.loads(watched.stdout)["job"]["counts"]["succeeded"] == 6
    assert "six" in triptych("status", env=up.env, cwd=tmp_path).stdout
    fetched = triptych("fetch", job_id, "-o", "out", "--json", env=up.env, cwd=tmp_path)
    assert json.loads(fetched.stdout)["files"] == 6
    assert [line["custom_id"] for line in results(tmp_path / "out")] == [f"in/{n:03d}.png" for n in range(6)]
    cancelled = triptych("cancel", job_id, env=up.env, cwd=tmp_path)
    assert cancelled.stdout == f"{job_id}  completed\n"
    listed = triptych("operations", "--json", env=up.env, cwd=tmp_path)
    assert all(operation["available"] for operation in json.loads(listed.stdout))


def test_ctrl_c_cancels_the_job_and_says_130(up: Up, tmp_path: Path) -> None:
    """The server stops working for somebody who has gone."""
    save_photos(tmp_path / "in", 60, side_px=500)
    run = subprocess.Popen(
        [*COMMAND, "run", "compress", "in", "-o", "out"],
        env={**up.env, "TRIPTYCH_URL": up.url},
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert run.stderr is not None
    while not run.stderr.readline().startswith("compress:"):
        assert run.poll() is None
    run.send_signal(signal.SIGINT)
    _, rest = run.communicate(timeout=30)
    assert run.returncode == 130, rest
    assert rest.endswith("triptych: stopped\n"), rest
    with Client(up.url) as client:
        job = client.jobs(limit=1).jobs[0]
        assert client.wait(job.id, timeout_s=30).state == "cancelled"


def test_a_killed_worker_comes_back_and_the_job_goes_on(up: Up, tmp_path: Path) -> None:
    """The supervisor restarts it; nothing of the job is lost."""
    save_photos(tmp_path / "in", 30, side_px=300)
    job_id = triptych("submit", "compress", "in", env=up.env, cwd=tmp_path).stdout.strip()
    before = up.workers()
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: len(set(up.workers()) - set(before)) == 3, 20, "three new workers")
    watched = triptych("watch", job_id, "--json", env=up.env, cwd=tmp_path)
    assert watched.returncode == 0, watched.stderr
    assert json.loads(watched.stdout)["job"]["counts"]["succeeded"] == 30


def test_keys_are_made_listed_and_revoked(up: Up, tmp_path: Path) -> None:
    """In the store of the running stack; the key itself is shown once."""
    made = json.loads(
        triptych("keys", "create", "ann", "--note", "x", "--json", env=up.env, cwd=tmp_path).stdout
    )
    assert made["key"].startswith("trp_")
    listed = triptych("keys", "list", env=up.env, cwd=tmp_path).stdout
    assert "ann" in listed
    assert made["key"] not in listed
    assert "owners/ann/" in listed
    revoked = triptych("keys", "revoke", made["id"][:16], env=up.env, cwd=tmp_path)
    assert "revoked" in revoked.stdout
    wrong = triptych("keys", "create", "Not An Owner", env=up.env, cwd=tmp_path)
    assert (wrong.returncode, wrong.stdout) == (2, "")


def test_a_second_stack_in_the_same_place_is_refused(up: Up, tmp_path: Path) -> None:
    """With the address of the first."""
    second = triptych("up", env=up.env, cwd=tmp_path)
    assert second.returncode == 2
    assert f"already, at {up.url}" in second.stderr
