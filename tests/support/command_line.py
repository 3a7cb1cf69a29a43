"""`triptych` as a process, and the processes that it starts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.servers import ROOT
from triptych import servers

COMMAND = [sys.executable, "-m", "triptych"]


def environment(home: Path, **more: str) -> dict[str, str]:
    """An environment in which the default data directory is under `home`."""
    mine = {name: value for name, value in os.environ.items() if not name.startswith("TRIPTYCH_")}
    return {**mine, "XDG_DATA_HOME": str(home), "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **more}


def triptych(
    *arguments: str | Path, env: Mapping[str, str], cwd: Path, timeout_s: float = 120
) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end."""
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        env=dict(env),
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


@dataclass
class Up:
    """A running `triptych up`."""

    process: subprocess.Popen[str]
    url: str
    logs: Path
    env: dict[str, str]

    def workers(self) -> list[int]:
        """Pids of its device and control workers."""
        return sorted(
            pid for pid, argv in descendants(self.process.pid).items() if argv[-2:] == ["-m", "workers"]
        )


@contextmanager
def running_up(home: Path, *arguments: str, **settings: str) -> Iterator[Up]:
    """`triptych up` in its default place under `home`, with these settings; SIGINT stops it at the end."""
    short = {"TRIPTYCH_LEASE_S": "4", "TRIPTYCH_LEASE_MAX_S": "20"}  # a killed worker is soon missed
    env = environment(home, **short, **settings)
    port = ["--port", str(servers.free_port())]
    process = subprocess.Popen(
        [*COMMAND, "up", "--json", *port, *arguments], env=env, cwd=home, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line, f"`triptych up` ended with {process.wait()}"
        answer = json.loads(line)
        yield Up(process, answer["url"], Path(answer["logs"]), env)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        process.wait(90)
        process.stdout.close()


def descendants(pid: int) -> dict[int, list[str]]:
    """Pid and arguments of every living process below this one (Linux)."""
    parents: dict[int, int] = {}
    arguments: dict[int, list[str]] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            words = (entry / "cmdline").read_text().split("\0")[:-1]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if fields[0] != "Z":
            parents[int(entry.name)] = int(fields[1])
            arguments[int(entry.name)] = words
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return {child: arguments[child] for child in found - {pid}}


def alive(pids: Mapping[int, list[str]]) -> dict[int, list[str]]:
    """Those that still run, under the same arguments (a pid may have been given anew)."""
    return {pid: argv for pid, argv in pids.items() if _arguments(pid) == argv}


def _arguments(pid: int) -> list[str]:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        return [] if state == "Z" else Path(f"/proc/{pid}/cmdline").read_text().split("\0")[:-1]
    except (FileNotFoundError, ProcessLookupError):
        return []


def eventually(condition: Callable[[], bool], timeout_s: float, what: str) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"waited {timeout_s:g} s for {what}"
        time.sleep(0.05)
