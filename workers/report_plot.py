"""A scatter plot as inline SVG, drawn by hand: the control worker has no plotting library."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 1080, 320
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 14, 46
TICKS = 5


@dataclass(frozen=True)
class Point:
    x: float
    y: float
    title: str


@dataclass(frozen=True)
class Axis:
    """One axis.

    Attributes:
        label: What it shows, with its unit.
        write: How a tick is written.
        log: Whether it is logarithmic (values above 0 only).
    """

    label: str
    write: Callable[[float], str]
    log: bool = False


@dataclass(frozen=True)
class _Scale:
    low: float
    high: float
    log: bool
    start: float
    stop: float

    def __call__(self, value: float) -> float:
        low, high, at = (
            map(math.log10, (self.low, self.high, value)) if self.log else (self.low, self.high, value)
        )
        return round(self.start + (at - low) / (high - low) * (self.stop - self.start), 1)


def scatter(points: Sequence[Point], x_axis: Axis, y_axis: Axis, *, even: bool = False) -> str:
    """The points, with axes and grid; each point's title shows under the pointer.

    Args:
        points: One at least.
        x_axis: The horizontal one.
        y_axis: The vertical one.
        even: Also draws the line where both are equal.
    """
    x_ticks, y_ticks = _ticks([p.x for p in points], x_axis), _ticks([p.y for p in points], y_axis)
    x = _Scale(x_ticks[0], x_ticks[-1], x_axis.log, LEFT, WIDTH - RIGHT)
    y = _Scale(y_ticks[0], y_ticks[-1], y_axis.log, HEIGHT - BOTTOM, TOP)
    parts = [
        f'<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{_label(x_axis, y_axis)}">'
    ]
    for tick in x_ticks:
        parts.append(_line(x(tick), TOP, x(tick), HEIGHT - BOTTOM, "grid"))
        parts.append(_text(x(tick), HEIGHT - BOTTOM + 18, x_axis.write(tick), "middle"))
    for tick in y_ticks:
        parts.append(_line(LEFT, y(tick), WIDTH - RIGHT, y(tick), "grid"))
        parts.append(_text(LEFT - 8, y(tick) + 4, y_axis.write(tick), "end"))
    low, high = max(x.low, y.low), min(x.high, y.high)
    if even and low < high:
        parts.append(_line(x(low), y(low), x(high), y(high), "even"))
    for point in points:
        title = f"<title>{escape(point.title)}</title>"
        parts.append(f'<circle class="dot" cx="{x(point.x)}" cy="{y(point.y)}" r="5">{title}</circle>')
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, x_axis.label, "middle"))
    middle = (TOP + HEIGHT - BOTTOM) / 2
    parts.append(
        f'<text x="14" y="{middle}" text-anchor="middle" transform="rotate(-90 14 {middle})">'
        f"{escape(y_axis.label)}</text></svg>"
    )
    return "".join(parts)


def _ticks(values: Sequence[float], axis: Axis) -> list[float]:
    """Round values that span the data, at least two."""
    low, high = min(values), max(values)
    if axis.log:
        first = math.floor(math.log10(low))
        last = max(math.ceil(math.log10(high)), first + 1)
        powers = max(1, math.ceil((last - first) / (TICKS + 2)))
        return [10.0**power for power in range(first, last + powers, powers)]
    if high - low < 1e-9 * max(1.0, abs(high)):
        low, high = low - 0.5, high + 0.5
    step = _round_step((high - low) / TICKS)
    return [number * step for number in range(math.floor(low / step), math.ceil(high / step) + 1)]


def _round_step(raw: float) -> float:
    """The next of 1, 2, 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(raw))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * (1 - 1e-9))


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}"/>'


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}">{escape(text)}</text>'


def _label(x_axis: Axis, y_axis: Axis) -> str:
    return escape(f"{y_axis.label} against {x_axis.label}")
