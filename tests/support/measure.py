"""Numbers of processes and of this machine, from /proc, and tables of them."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

TICKS = os.sysconf("SC_CLK_TCK")


def peak_rss_bytes(pid: int) -> int:
    """The most memory that a process has ever had resident (VmHWM)."""
    found = re.search(r"^VmHWM:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024


def cpu_seconds(pid: int) -> float:
    """User and system time that a process has used, in seconds, to a hundredth."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def at_s(record: dict[str, Any]) -> float:
    """When a log record was written, in seconds since 1970."""
    return datetime.fromisoformat(str(record["timestamp"])).timestamp()


def machine() -> str:
    """One line on where a measurement was made."""
    info = Path("/proc/cpuinfo").read_text()
    models = re.findall(r"^model name\s*:\s*(.+)$", info, re.MULTILINE)
    memory = re.search(r"^MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text(), re.MULTILINE)
    return (
        f"{os.cpu_count()} x {models[0] if models else platform.machine()}, "
        f"{int(memory[1]) / 1e6 if memory else 0:.0f} GB, Linux {platform.release()}, "
        f"Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}"
    )


def table(title: str, head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A title and aligned columns; numbers are rounded to three digits and stand to the right."""
    cells = [[_shown(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(head, *cells, strict=True)]
    lines = [title, "  ".join(name.rjust(width) for name, width in zip(head, widths, strict=True))]
    lines += ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in cells]
    return "\n" + "\n".join(lines)


def _shown(cell: object) -> str:
    if not isinstance(cell, float):
        return str(cell)
    return f"{cell:.0f}" if abs(cell) >= 100 else f"{cell:.3g}"
