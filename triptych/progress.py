"""Progress for people: one live line on a terminal, a plain line now and then elsewhere. On stderr."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self, TextIO

REDRAW_S = 0.1
PLAIN_EVERY_S = 5.0
WIDEST_BAR = 40
NARROWEST_BAR = 5


class Progress:
    """Shows how far something is. Use it as a context manager: leaving it ends the live line.

    Args:
        label: What is under way.
        stream: Where to; standard error if None.
        clock: Monotonic seconds.
    """

    def __init__(
        self, label: str, *, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._label, self._stream, self._clock = label, stream or sys.stderr, clock
        self._live = self._stream.isatty()
        self._started_s = clock()
        self._drawn_s = -1e9
        self._last, self._complete = "", False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live and self._last:
            self._stream.write("\n")
            self._stream.flush()

    def show(
        self,
        done: int,
        total: int,
        *,
        failed: int = 0,
        rate: float | None = None,
        left_s: float | None = None,
    ) -> None:
        """Shows a state; states that come too fast are skipped, the last one (done == total) never is.

        Args:
            done: Of `total`.
            total: 0 where it is not known yet.
            failed: How many of those done.
            rate: Items a second; measured from the start if None.
            left_s: Seconds to the end; from the rate if None.
        """
        now_s = self._clock()
        if done < total and now_s - self._drawn_s < (REDRAW_S if self._live else PLAIN_EVERY_S):
            return
        self._drawn_s = now_s
        elapsed_s = now_s - self._started_s
        if rate is None and done and elapsed_s > 0:
            rate = done / elapsed_s
        if left_s is None and rate:
            left_s = (total - done) / rate
        facts = _facts(done, total, failed, rate, left_s)
        if self._live:
            self._draw(f"{self._label}  ", done / total if total else 0.0, f"  {facts}")
        elif not self._complete:
            print(f"{self._label}: {facts}", file=self._stream, flush=True)
        self._last, self._complete = facts, done >= total > 0

    def _draw(self, head: str, fraction: float, tail: str) -> None:
        columns = shutil.get_terminal_size().columns
        width = min(WIDEST_BAR, columns - 1 - len(head) - len(tail))
        bar = _bar(fraction, width, self._stream.encoding) if width >= NARROWEST_BAR else ""
        # Back to the first column, the line, and whatever an earlier longer one left erased.
        self._stream.write(f"\r{f'{head}{bar}{tail}'[: columns - 1]}\x1b[K")
        self._stream.flush()


def _bar(fraction: float, width: int, encoding: str) -> str:
    full, empty = ("\u2588", "\u2591") if "utf" in (encoding or "").lower() else ("#", ".")
    cells = round(fraction * width)
    return full * cells + empty * (width - cells)


def _facts(done: int, total: int, failed: int, rate: float | None, left_s: float | None) -> str:
    parts = [f"{done}/{total}" if total else "planning"]
    if rate and total:
        parts.append(f"{rate:.1f}/s")
    if left_s is not None and done < total:
        parts.append(f"{duration(left_s)} left")
    if failed:
        parts.append(f"{failed} failed")
    return ", ".join(parts)


def duration(seconds: float) -> str:
    """Seconds as people say them: "42 s", "3 min 05 s", "2 h 10 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def size(count: float) -> str:
    """Bytes as people say them: "812 B", "4.2 MB"."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
