"""Where a stack keeps its data, and how others find the one that runs."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from triptych.cli import CommandError

DEFAULT_DATA = Path(os.environ.get("XDG_DATA_HOME") or "~/.local/share").expanduser() / "triptych"
LOCK = "lock"
ADDRESS = "running.json"


@contextlib.contextmanager
def held(data: Path) -> Iterator[None]:
    """Holds a data directory (made, mode 0700) for this process.

    Raises:
        CommandError: Another stack runs there.
    """
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    data.chmod(0o700)
    with (data / LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            where = running_url(data)
            raise CommandError(f"Triptych runs in {data} already{f', at {where}' if where else ''}") from None
        (data / ADDRESS).unlink(missing_ok=True)  # of a stack that was killed
        try:
            yield
        finally:
            (data / ADDRESS).unlink(missing_ok=True)


def write_address(data: Path, url: str, environment: Mapping[str, str]) -> None:
    """Says where the stack answers, and with which settings, to this user's other processes."""
    path = data / ADDRESS
    path.unlink(missing_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump({"url": url, "environment": dict(environment)}, file)


def running_url(data: Path | None = None) -> str | None:
    """Where the stack of that directory answers, if one runs there."""
    found = _address(data or DEFAULT_DATA)
    return None if found is None else str(found["url"])


def running_environment(data: Path | None = None) -> dict[str, str] | None:
    """The settings of the stack of that directory, if one runs there."""
    found = _address(data or DEFAULT_DATA)
    return None if found is None else dict(found["environment"])


def _address(data: Path) -> dict[str, Any] | None:
    try:
        with (data / LOCK).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return None  # nobody holds it: an address there is a killed stack's
    except BlockingIOError:
        pass  # somebody does
    except OSError:
        return None
    try:
        found: dict[str, Any] = json.loads((data / ADDRESS).read_text())
    except (OSError, ValueError):
        return None  # it is starting
    return found
