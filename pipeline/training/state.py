"""What a run of training changes: weights, their moving average, the optimiser, and the count of both."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from pipeline.models.checkpoint import save_run

MOST_SKIPPED = 10
Model = TypeVar("Model", bound=nn.Module)


class TrainingState(Generic[Model]):
    """The average is what gets evaluated and exported; the model is what training goes on from.

    Args:
        model: With a `shape`.
        groups: Parameters for Adam, each group with its "haste", a factor of the learning rate.
        ema: What the average keeps of itself at each step, once it has been running for a while.
    """

    def __init__(self, model: Model, groups: list[dict[str, object]], ema: float) -> None:
        self.model, self.ema = model, ema
        self.average = copy.deepcopy(model).requires_grad_(requires_grad=False)
        self.optimiser = torch.optim.Adam(groups, fused=True)
        self.step, self.cpu_seconds = 0, 0.0
        self.begun = 0  # the step from which the optimiser knows its way
        self._skipped = 0

    def restore(self, saved: dict[str, Any]) -> None:
        """Goes on from a checkpoint; one without an optimiser (`.safetensors`) gives the weights only."""
        self.average.load_state_dict(saved["model"])
        self.model.load_state_dict(saved.get("live", saved["model"]))
        if "optimiser" in saved:
            self.optimiser.load_state_dict(saved["optimiser"])
        else:  # it starts anew, and so does the warm-up: a full step would throw the weights back
            self.begun = saved["step"]
        self.step, self.cpu_seconds = saved["step"], saved["cpu_seconds"]

    def save(self, path: Path) -> Path:
        """Writes the checkpoint; "model" is the average, "live" what training goes on from."""
        save_run(
            path,
            self.average,
            live=self.model.state_dict(),
            optimiser=self.optimiser.state_dict(),
            step=self.step,
            cpu_seconds=self.cpu_seconds,
        )
        return path

    def descend(self, loss: Tensor, learning_rate: float) -> float:
        """One step of the optimiser down the gradient of a loss; returns the loss.

        A loss that is no number is skipped.

        Raises:
            FloatingPointError: So were the last ones: there is nothing left to save.
        """
        if not bool(torch.isfinite(loss.detach())):
            self._skipped += 1
            if self._skipped > MOST_SKIPPED:
                raise FloatingPointError(f"the loss was no number {self._skipped} times in a row")
            return float(loss.detach())
        self._skipped = 0
        for group in self.optimiser.param_groups:
            group["lr"] = group["haste"] * learning_rate
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimiser.step()
        self.step += 1
        self._follow(min(self.ema, self.step / (self.step + 10)))
        return float(loss.detach())

    @torch.no_grad()
    def _follow(self, keep: float) -> None:
        average: list[Tensor] = [*self.average.parameters()]
        live: list[Tensor] = [*self.model.parameters()]
        torch._foreach_lerp_(average, live, 1 - keep)
