"""Bare loops that the pipeline is measured against, in processes that begin together."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence

from tests.support.servers import ROOT

LONGEST_S = 900


def run_together(
    module: str, arguments: Sequence[Sequence[str]], env: Mapping[str, str]
) -> tuple[float, float]:
    """Runs `python -m module` once for each list of arguments.

    Each process prints "ready", waits for a line on its standard input, works, and prints when it began and
    ended (seconds since 1970) and how many CPU seconds it took.

    Returns:
        Seconds from the first begin to the last end, and CPU seconds of all.
    """
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", module, *own],
            cwd=ROOT,
            env=dict(env),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for own in arguments
    ]
    answers = [process.stdout.readline() for process in processes if process.stdout]
    assert answers == ["ready\n"] * len(processes)
    for process in processes:
        assert process.stdin
        process.stdin.write("\n")
        process.stdin.flush()
    ends = [list(map(float, process.communicate(timeout=LONGEST_S)[0].split())) for process in processes]
    return max(end[1] for end in ends) - min(end[0] for end in ends), sum(end[2] for end in ends)
