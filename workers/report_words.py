"""How the report writes names, numbers, sizes and times."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pipeline.core.jobs import ResultLine


def shown_name(line: ResultLine) -> str:
    """The user's name for an item, always valid Unicode; not escaped."""
    return line.custom_id.encode("utf-8", "backslashreplace").decode()


def number(line: ResultLine, key: str) -> float | None:
    """A finite number of the receipt, or None."""
    value = (line.receipt or {}).get(key)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return value


def flat(receipt: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested receipts as one level: `seconds.decode`, `steps.0.styles`."""
    level: dict[str, Any] = {}
    for name, value in receipt.items():
        if isinstance(value, dict):
            level.update(flat(value, f"{prefix}{name}."))
        elif isinstance(value, list) and value and all(isinstance(part, dict) for part in value):
            level.update(flat({str(place): part for place, part in enumerate(value)}, f"{prefix}{name}."))
        else:
            level[f"{prefix}{name}"] = value
    return level


def plain(value: object) -> str:
    """Any JSON value in a few characters."""
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def counted(how_many: int, noun: str) -> str:
    """A number of things: "1 item", "2 items"."""
    return f"{how_many:,} {noun}{'' if how_many == 1 else 's'}"


def size(count: float) -> str:
    """Bytes to three digits: "812 B", "4.25 MB"."""
    unit = ""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if count < 999.5 or unit == "TB":
            break
        count /= 1000
    digits = 0 if unit == "B" or count >= 99.95 else 1 if count >= 9.995 else 2
    return f"{count:.{digits}f} {unit}"


def tick(value: float) -> str:
    """A number beside an axis."""
    return f"{value:.4g}"


def duration(seconds: float) -> str:
    """Seconds as "8.2 s", "3 min 5 s" or "2 h 10 min"."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest_s = divmod(round(seconds), 60)
    return f"{minutes} min {rest_s} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def moment(seconds: float) -> str:
    """Seconds since 1970 as a date and a time."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
