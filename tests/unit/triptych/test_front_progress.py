"""Progress: a live line on a terminal, few plain lines elsewhere."""

from __future__ import annotations

import io

import pytest

from triptych.progress import Progress, duration, size


class Terminal(io.StringIO):
    encoding = "utf-8"  # type: ignore[assignment]

    def isatty(self) -> bool:
        return True


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_elsewhere_a_line_now_and_then() -> None:
    """One at the start, one every five seconds, one at the end, whatever the number of states."""
    stream, clock = io.StringIO(), Clock()
    with Progress("work", stream=stream, clock=clock) as progress:
        for done in range(1001):
            clock.now_s = done / 100
            progress.show(done, 1000, failed=done // 500)
        progress.show(1000, 1000, failed=2)
    lines = stream.getvalue().splitlines()
    assert lines == [
        "work: 0/1000",
        "work: 500/1000, 100.0/s, 5 s left, 1 failed",
        "work: 1000/1000, 100.0/s, 2 failed",
    ]


def test_on_a_terminal_one_line_that_is_redrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """It fits the window, and the last state is always drawn."""
    monkeypatch.setenv("COLUMNS", "60")
    stream, clock = Terminal(), Clock()
    with Progress("work", stream=stream, clock=clock) as progress:
        for done in range(101):
            clock.now_s = done / 10
            progress.show(done, 100)
    frames = stream.getvalue().split("\r")[1:]
    assert all(len(frame.removesuffix("\n").removesuffix("\x1b[K")) < 60 for frame in frames)
    assert "100/100" in frames[-1]
    assert "\u2588" in frames[-1]
    assert "\u2591" not in frames[-1]
    assert stream.getvalue().endswith("\n")
    assert "\n" not in stream.getvalue()[:-1]


def test_the_servers_word_counts() -> None:
    """A rate and a time left that are given are shown as they are."""
    stream = io.StringIO()
    Progress("job", stream=stream).show(5, 10, rate=2.5, left_s=62)
    assert stream.getvalue() == "job: 5/10, 2.5/s, 1 min 02 s left\n"


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0 s"), (59.6, "1 min 00 s"), (7805, "2 h 10 min")])
def test_durations(seconds: float, text: str) -> None:
    """As people say them."""
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (999, "999 B"), (4_250_000, "4.2 MB"), (3e15, "3000.0 TB")]
)
def test_sizes(count: float, text: str) -> None:
    """As people say them."""
    assert size(count) == text
