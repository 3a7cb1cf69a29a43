"""Seconds a stage, for receipts."""

from __future__ import annotations

import time


class Stopwatch:
    """Splits the time since it was made into named laps."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        """Books the time since the last lap under a name, rounded to 0.1 ms."""
        now = time.perf_counter()
        self.seconds[name] = round(now - self._last, 4)
        self._last = now
