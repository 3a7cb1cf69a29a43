"""File names for outputs: safe on any file system, never twice the same, the same every time."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from pathlib import PurePosixPath

RESULTS = "results.jsonl"
REPORT = "report.html"
MAX_STEM_BYTES = 180  # of the 255 that file systems allow: a number, an extension, a suffix still fit
# Control characters, and what Windows refuses in a name.
_UNSAFE = re.compile(r'[\x00-\x1f\x7f-\x9f\ud800-\udfff<>:"/\\|?*]')
_DEVICES = re.compile(r"^(con|prn|aux|nul|com[0-9]|lpt[0-9])(\.|$)", re.IGNORECASE)


def safe_stem(name: str) -> str:
    """The stem of an input's name, with what a file system might refuse replaced by `_`.

    It is never empty, starts with no dot, and ends with neither dot nor space.
    """
    return _safe(PurePosixPath(name.rstrip("/")).stem)


def _safe(part: str) -> str:
    stem = unicodedata.normalize("NFC", part)
    stem = _UNSAFE.sub("_", stem).strip()
    stem = re.sub(r"^\.+", "_", stem)
    stem = stem.encode()[:MAX_STEM_BYTES].decode(errors="ignore").rstrip(". ")
    return f"_{stem}" if not stem or _DEVICES.match(stem) else stem


def safe_folder(name: str) -> str:
    """The folders in an input's name, each made safe as a stem is: "" or "a/b/". None leads upwards."""
    parts = [part for part in PurePosixPath(name).parent.parts if part not in ("/", ".", "..")]
    return "".join(f"{_safe(part)}/" for part in parts)


class Stems:
    """Gives each input a stem of its own, in the order in which it is asked.

    Args:
        occupied: Names of files that are there and stay: no output gets one of them.
    """

    def __init__(self, occupied: Iterable[str] = ()) -> None:
        self._taken: set[str] = set()
        self._next: dict[str, int] = {}
        self._occupied = {_folded(name) for name in occupied}

    def give(self, name: str, extension: str = "") -> str:
        """The input's stem, or `<stem>-2`, `<stem>-3` ... where others, in any case, have it already.

        Args:
            name: The input's.
            extension: Of its output.
        """
        stem = given = safe_stem(name)
        number = self._next.get(_folded(stem), 2)
        while _folded(given) in self._taken or _folded(file_name(given, extension)) in self._occupied:
            given = f"{stem}-{number}"
            number += 1
        self._next[_folded(stem)] = number
        self._taken.add(_folded(given))
        return given


def file_name(stem: str, extension: str) -> str:
    """The output's file name. It never is one of the two names that the results have themselves."""
    name = f"{stem}{extension}"
    # No stem ends with a dot, so the longer name is nobody else's.
    return f"{stem}.{extension}" if name.casefold() in (RESULTS, REPORT) else name


def _folded(stem: str) -> str:
    # NFC, case folded, NFC again: what macOS and Windows take for the same name.
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", stem).casefold())
