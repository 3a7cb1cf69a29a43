"""The embedded stack's end: in order, on time, with nothing left; by kill -9, too."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.support.command_line import (
    COMMAND,
    alive,
    descendants,
    environment,
    eventually,
    running_up,
    triptych,
)
from tests.support.image_bytes import picture

PROGRAMS = ("supervisor.supervisord", "valkey-server", "weed", "-m api", "-m workers")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with three pictures, and a temporary directory of its own."""
    (tmp_path / "in").mkdir()
    for number in range(3):
        picture().save(tmp_path / "in" / f"{number}.png")
    (tmp_path / "tmp").mkdir()
    return tmp_path


def names(processes: dict[int, list[str]]) -> set[str]:
    return {name for name in PROGRAMS if any(name in " ".join(argv) for argv in processes.values())}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_up_stops_everything_in_order(tmp_path: Path, number: signal.Signals) -> None:
    """Ctrl-C: 130; SIGTERM: 143. No process is left, and the place is free again."""
    with running_up(tmp_path, "--workers", "1") as up:
        family = descendants(up.process.pid)
        assert names(family) == set(PROGRAMS)
        up.process.send_signal(number)
        assert up.process.wait(60) == 128 + number
    assert not alive(family)
    assert not (tmp_path / "triptych/running.json").exists()


def test_nothing_outlives_an_up_that_is_killed(tmp_path: Path) -> None:
    """A `kill -9` of the command takes the supervisor and every process of it along."""
    with running_up(tmp_path, "--workers", "1") as up:
        family = descendants(up.process.pid)
        os.kill(up.process.pid, signal.SIGKILL)
        eventually(lambda: not alive(family), 10, f"the end of {family}")


def test_what_was_uploaded_is_there_after_a_restart(place: Path) -> None:
    """The data directory is the memory: jobs and their results outlive the processes."""
    with running_up(place, "--workers", "1") as up:
        job_id = triptych("submit", "compress", "in", env=up.env, cwd=place).stdout.strip()
        assert triptych("watch", job_id, env=up.env, cwd=place).returncode == 0
    with running_up(place, "--workers", "1") as up:
        fetched = triptych("fetch", job_id, "-o", "out", env=up.env, cwd=place)
        assert fetched.returncode == 0, fetched.stderr
    assert sorted(path.name for path in (place / "out").glob("*.tri")) == ["0.tri", "1.tri", "2.tri"]


def test_run_without_a_server_brings_its_own(place: Path) -> None:
    """It starts everything, does the job, and leaves neither a process nor a file but the results."""
    env = environment(place, TMPDIR=str(place / "tmp"))
    run = triptych("run", "compress", "in", "-o", "out", "--workers", "1", env=env, cwd=place)
    assert run.returncode == 0, run.stderr
    assert len(list((place / "out").glob("*.tri"))) == 3
    assert list((place / "tmp").iterdir()) == []
    assert not (place / "triptych").exists()


def test_ctrl_c_in_a_run_of_its_own(place: Path) -> None:
    """130, and all that it started is gone with its data."""
    for number in range(3, 40):
        picture(700, 500).save(place / "in" / f"{number}.png")
    run = subprocess.Popen(
        [*COMMAND, "run", "compress", "in", "-o", "out", "--workers", "1"],
        env=environment(place, TMPDIR=str(place / "tmp")),
        cwd=place,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert run.stderr is not None
    while not run.stderr.readline().startswith("compress:"):
        assert run.poll() is None
    family = descendants(run.pid)
    run.send_signal(signal.SIGINT)
    run.communicate(timeout=60)
    assert run.returncode == 130
    assert not alive(family)
    assert list((place / "tmp").iterdir()) == []


def test_a_data_directory_with_an_odd_name(place: Path) -> None:
    """Spaces, percent signs, quotes and accents pass through every layer of configuration."""
    home = Path(tempfile.mkdtemp(prefix="50% \u00e9 'a' ", dir=place))
    with running_up(home, "--workers", "1") as up:
        run = triptych(
            "run", "compress", "in", "-o", "out", env={**up.env, "TRIPTYCH_URL": up.url}, cwd=place
        )
        assert run.returncode == 0, run.stderr


def test_a_port_that_is_taken_is_said(place: Path) -> None:
    """Before anything starts: another server there would be taken for our own."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        second = triptych("up", "--port", str(port), env=environment(place), cwd=place)
    assert second.returncode == 2
    assert second.stderr == f"triptych: port {port} cannot be used: Address already in use\n"


def test_a_worker_that_cannot_start_is_said_with_its_own_words(place: Path) -> None:
    """A wrong setting ends `triptych up` with the worker's message, not with a time-out."""
    env = environment(place, TRIPTYCH_DEVICE="cuda", CUDA_VISIBLE_DEVICES="")
    failed = triptych("up", "--workers", "1", env=env, cwd=place)
    assert failed.returncode == 1
    assert "device-0 ended" in failed.stderr
    assert "cuda" in failed.stderr.lower()
