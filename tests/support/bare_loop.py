"""What the bare loops over photos share: all files are in memory before it counts; one thread."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path


def loop(work: Callable[[bytes], object], names: Sequence[str]) -> None:
    """Works on each file, one named twice twice, and prints what `bare.run_together` reads."""
    files = {name: Path(name).read_bytes() for name in set(names)}
    work(files[names[0]])
    print("ready", flush=True)
    sys.stdin.readline()
    cpu_s, began = time.process_time(), time.time()
    for name in names:
        work(files[name])
    print(began, time.time(), time.process_time() - cpu_s, flush=True)
