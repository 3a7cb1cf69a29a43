"""Runs the measured processes of a codec: one that encodes, then another that decodes."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks.codec.codecs import ANCHORS, make_codec
from tests.support.servers import ROOT

ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
Measured = dict[str, Any]


@dataclass(frozen=True)
class Task:
    """What is measured.

    Attributes:
        images: Files of pictures.
        folder: Where coded files, and the anchors' results, are kept.
        artifact: Directory of our model; None: the built-in one.
        repeats: Every call is timed so often, and the fastest counts.
    """

    images: Sequence[Path]
    folder: Path
    artifact: Path | None = None
    repeats: int = 1


def encode_then_decode(task: Task, codec: str, levels: Sequence[int]) -> dict[str, Measured]:
    """What each of the two processes printed; see `coding`."""
    return {name: run(task, name, codec, levels) for name in ("encode", "decode")}


def survey(task: Task) -> list[int]:
    """Our qualities for the rates that are wanted, chosen in a process of its own."""
    levels: list[int] = run(task, "survey", "tri", [])["levels"]
    return levels


def anchor_results(task: Task, codec: str, levels: Sequence[int]) -> dict[str, Measured]:
    """Like `encode_then_decode`, but kept: anchors stay the same while our models change."""
    kept = task.folder / codec / "results.json"
    key = hashlib.sha256()
    for image in task.images:
        key.update(image.name.encode() + image.read_bytes())
    key.update(json.dumps([codec, make_codec(codec).version(), list(levels)]).encode())
    if kept.exists() and (found := json.loads(kept.read_text()))["key"] == key.hexdigest():
        return {name: found[name] for name in ("encode", "decode")}
    measured = encode_then_decode(task, codec, levels)
    kept.write_text(json.dumps({"key": key.hexdigest(), **measured}))
    return measured


def measure(task: Task, codec: str, levels: Sequence[int]) -> dict[str, Measured]:
    """An anchor's results, perhaps kept ones, or ours, always fresh."""
    how = anchor_results if codec in ANCHORS else encode_then_decode
    return how(task, codec, levels)


def run(task: Task, name: str, codec: str, levels: Sequence[int]) -> Measured:
    """One process, one thread."""
    argv = [sys.executable, "-m", "tests.benchmarks.codec.coding", name, codec, str(task.folder)]
    argv += [str(image.resolve()) for image in task.images]
    argv += ["--repeats", str(task.repeats)]
    if levels:
        argv += ["--levels", ",".join(map(str, levels))]
    if task.artifact is not None:
        argv += ["--artifact", str(task.artifact.resolve())]
    env = {**os.environ, "PYTHONPATH": str(ROOT), **dict.fromkeys(ONE_THREAD, "1")}
    done = subprocess.run(argv, cwd=ROOT, env=env, stdout=subprocess.PIPE, check=True)
    measured: Measured = json.loads(done.stdout)
    return measured
