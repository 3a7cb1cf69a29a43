"""Training within a box of time, with a report every few minutes."""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pipeline.training import curve
from pipeline.training.state import TrainingState


class Resumable(Protocol):
    """What a run does, as far as it matters here."""

    @property
    def resume(self) -> Path | None: ...


class Run(Protocol):
    """What trains: its state, a step, and an evaluation of the average ({"rates": [...], "cost": ...})."""

    @property
    def recipe(self) -> Resumable: ...

    @property
    def state(self) -> TrainingState[Any]: ...

    def train_step(self, part: float) -> float:
        """One step at a part in [0, 1] of the run; returns the loss."""
        ...

    def evaluate(self) -> dict[str, Any] | None:
        """None: there is nothing to evaluate on."""
        ...


@dataclass(frozen=True)
class Shown:
    """How a kind of training shows itself: one line of an evaluation, and the picture of all of them."""

    line: Callable[[dict[str, Any]], str]
    plot: Callable[[list[dict[str, Any]], Path], None]


def _rates(point: dict[str, Any]) -> str:
    return "  ".join(f"{r['bpp']:.3f} bpp {r['psnr_db']:.2f} dB" for r in point["rates"])


RATE_AND_DISTORTION = Shown(_rates, curve.plot)


def train_for(
    run: Run, out: Path, minutes: float, eval_every_s: float, shown: Shown = RATE_AND_DISTORTION
) -> Path:
    """Runs until the time is up; returns the checkpoint's path. A kill loses a few minutes at most."""
    checkpoint = out / "checkpoint.pt"
    if checkpoint.exists() and run.recipe.resume is None:
        raise SystemExit(f"{checkpoint} is there: go on from it with --resume, or name another --out")
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr] # progress shows in a file too
    state = run.state
    started, cpu_before = time.monotonic(), state.cpu_seconds - time.process_time()
    _report(run, out, started, math.nan, shown)
    losses: list[float] = []
    next_report = time.monotonic() + eval_every_s / 3
    while (part := (time.monotonic() - started) / (minutes * 60)) < 1:
        losses.append(run.train_step(part))
        state.cpu_seconds = cpu_before + time.process_time()
        if time.monotonic() > next_report:
            _report(run, out, started, sum(losses) / len(losses), shown)
            losses.clear()
            next_report = time.monotonic() + eval_every_s
    state.cpu_seconds = cpu_before + time.process_time()
    if losses:
        _report(run, out, started, sum(losses) / len(losses), shown)
    return state.save(checkpoint)


def _report(run: Run, out: Path, started: float, mean_loss: float, shown: Shown) -> None:
    """Evaluates the average, appends to the record, redraws the curve and saves."""
    state, evaluated = run.state, run.evaluate()
    point = evaluated or {"rates": [], "cost": mean_loss}
    point |= {"step": state.step, "cpu_seconds": state.cpu_seconds, "loss": mean_loss}
    record = out / "record.jsonl"
    curve.append_point(record, point)
    state.save(out / "checkpoint.pt")
    if evaluated:
        shown.plot(
            [one for one in curve.read_points(record) if point.keys() <= one.keys()], out / "curve.png"
        )
    line = shown.line(point) if evaluated else ""
    minutes = (time.monotonic() - started) / 60
    print(f"{minutes:6.1f} min  step {state.step}  loss {mean_loss:.4f}  dev {point['cost']:.4f}  {line}")


def add_arguments(
    parser: argparse.ArgumentParser, *, out: Path, learning_rate: float, eval_every_s: float
) -> None:
    """The options that every training command has; "threads" is not part of a recipe."""
    add = parser.add_argument
    add("--data", type=Path, action="append", required=True, help="folder of photographs (repeatable)")
    add("--dev", type=Path, help="folder of photographs to evaluate on, never trained on")
    add("--out", type=Path, default=out, help="for checkpoint, record and curve")
    add("--minutes", type=float, required=True, help="wall time of this run")
    add("--resume", type=Path, help="checkpoint to go on from (.pt, .safetensors)")
    add("--learning-rate", type=float, default=learning_rate)
    add("--eval-every-s", type=float, default=eval_every_s)
    add("--seed", type=int, default=0)
    add("--random-start", action="store_true", help="start from random weights, to compare")
    add("--threads", type=int, default=1)
