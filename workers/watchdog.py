"""Ends a process that makes no progress, even one whose threads all wait for a native call with the GIL."""

from __future__ import annotations

import faulthandler
import threading


class Watchdog:
    """A timer in C: unless it is re-armed, it prints every thread's stack and ends the process."""

    def __init__(self, stall_s: float) -> None:
        self._stall_s = stall_s
        self._moved = threading.Event()
        self._arm()

    def progress(self) -> None:
        """Something got done. Cheap enough to call for every item."""
        self._moved.set()

    def look(self, *, idle: bool) -> None:
        """Called about every second: re-arms the timer if something moved, or nothing was to do."""
        if idle or self._moved.is_set():
            self._moved.clear()
            self._arm()

    def _arm(self) -> None:
        faulthandler.dump_traceback_later(self._stall_s, exit=True)

    def close(self) -> None:
        faulthandler.cancel_dump_traceback_later()
