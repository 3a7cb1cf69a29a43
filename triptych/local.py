"""Files of this machine as inputs: what the arguments of `triptych run` name, in a steady order."""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from triptych.brought import files_brought
from triptych.names import REPORT, RESULTS

MAX_WIRE_NAME = 1024  # characters of a custom_id


class NoSuchInput(Exception):
    """An argument names nothing."""


@dataclass(frozen=True)
class LocalFile:
    """A file to upload.

    Attributes:
        path: Where it is.
        name: What the user calls it, always valid Unicode.
        size_bytes: Its size when it was listed.
        error: Why it cannot be read, or "".
    """

    path: Path
    name: str
    size_bytes: int = 0
    error: str = ""

    @property
    def wire_name(self) -> str:
        """The name as it is declared to the server: its end, where it is too long for one."""
        return self.name[-MAX_WIRE_NAME:]


def look_at(path: str | os.PathLike[str], name: str | None = None) -> LocalFile:
    """The file at `path`; one that cannot be read has an `error` and no size."""
    shown = _as_text(os.fspath(path) if name is None else name)
    place = Path(path)
    try:
        found = place.stat()
    except OSError as error:
        return LocalFile(place, shown, error=_why(error))
    if not stat.S_ISREG(found.st_mode):
        return LocalFile(place, shown, error="not a regular file")
    if not os.access(place, os.R_OK):
        return LocalFile(place, shown, error="permission denied")
    return LocalFile(place, shown, found.st_size)


def find_inputs(arguments: Sequence[str], *, leave_out: Path | None = None) -> list[LocalFile]:
    """The files that the arguments name: files as they are, folders with all that is in them, globs.

    Names in a folder are sorted; hidden ones, links to folders and what lies in `leave_out` are left out, and
    so are `results.jsonl` and the report of an earlier run. Where results go to a folder above, what earlier
    runs have brought there is left out, too. A file that is named twice is one input.

    Args:
        arguments: Files, folders or patterns (`*`, `?`, `[...]`, `**`).
        leave_out: The folder that results go to.

    Raises:
        NoSuchInput: An argument matches nothing.
    """
    found: dict[str, LocalFile] = {}
    skipped = leave_out.absolute() if leave_out is not None else None
    brought = {os.path.abspath(skipped / name) for name in files_brought(skipped)} if skipped else set()
    for argument in arguments:
        left_out = brought if os.path.isdir(argument) and Path(argument).absolute() != skipped else set()
        for path in _expand(argument, skipped):
            key = os.path.abspath(path)
            if key not in found and key not in left_out:
                found[key] = look_at(path)
    if not found:
        raise NoSuchInput("nothing but what earlier runs have brought")
    return list(found.values())


def _expand(argument: str, skipped: Path | None) -> Iterator[str]:
    if os.path.isdir(argument):
        files = list(_walk(argument, skipped))
        if not files:
            raise NoSuchInput(f"no files in {argument}")
        yield from files
    elif os.path.lexists(argument):
        yield argument
    else:
        matches = sorted(glob.glob(argument, recursive=True))
        if not matches:
            raise NoSuchInput(f"no such file or folder: {_as_text(argument)}")
        for match in matches:
            yield from _walk(match, skipped) if os.path.isdir(match) else (match,)


def _walk(folder: str, skipped: Path | None) -> Iterator[str]:
    for parent, folders, files in os.walk(folder):
        seen = (name for name in folders if not name.startswith("."))
        folders[:] = sorted(name for name in seen if Path(parent, name).absolute() != skipped)
        ours = {RESULTS, REPORT} if RESULTS in files else set()
        wanted = sorted(name for name in files if not name.startswith(".") and name not in ours)
        yield from (os.path.join(parent, name) for name in wanted)


def _as_text(name: str) -> str:
    """A name that may hold bytes of no encoding, as text that JSON can carry."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _why(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
