"""Trains the compression network: `python -m pipeline.training.compression --data DIR --minutes N`.

Each step takes patches, draws a rate for each, codes them (encoder, latent, decoder, output) and lowers
bits + lambda(rate) * 255^2 * MSE with respect to all networks, gains and scales. Kept beside the weights is
their moving average, which is what gets evaluated and exported.

Runs are boxes of time that can be chained with `--resume`: the learning rate stays constant, and only a run
with `--cool-down 0.5` lowers it over its last half (its result is for export; the checkpoint from before
the descent stays beside it as `warm.pt`, to go on from). `--quantised` rounds the entropy parameters as
the exported integers are rounded.
"""

from __future__ import annotations

import argparse
import copy
import math
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.models.blocks import RateCurve
from pipeline.models.checkpoint import load_checkpoint, save_run
from pipeline.models.compression import CompressionModel, distortion_weight, rate_of_weight
from pipeline.models.exact import set_quantised
from pipeline.models.factorised_prior import FactorisedPrior
from pipeline.models.klt import start_as_klt
from pipeline.models.shape import HYPER_STRIDE, Shape
from pipeline.training import curve
from pipeline.training.photos import PatchSampler, load_photos, to_tensor

DEV_LAMBDAS = (0.00107, 0.00343, 0.01095, 0.035, 0.1117)


@dataclass(frozen=True)
class Recipe:
    """What a run does. Defaults were chosen for one CPU core."""

    data: tuple[Path, ...]
    dev: Path | None
    out: Path
    minutes: float
    resume: Path | None = None
    batch: int = 8
    patch_px: int = 128
    learning_rate: float = 4e-4
    cool_down: float = 0.0
    quantised: bool = False
    ema: float = 0.9995
    dev_images: int = 12
    eval_every_s: float = 180.0
    seed: int = 0
    random_start: bool = False


def rate_distortion_loss(x: Tensor, x_hat: Tensor, bits: Tensor, t: Tensor) -> Tensor:
    """Bits a pixel + lambda * 255^2 * MSE, shape (B,): what the output and the latent of each image cost."""
    bpp = bits / (x.shape[2] * x.shape[3])
    mse = (x - x_hat).square().mean(dim=(1, 2, 3))
    return bpp + distortion_weight(t) * 255**2 * mse


def balanced(loss: Tensor, t: Tensor) -> Tensor:
    """The mean loss of a batch with each rate's cost in proportion to its own size, about lambda^(1/2).

    Otherwise the highest rates, a hundred times the cost of the lowest, would be all that is learnt.
    """
    middle = distortion_weight(torch.tensor(0.5))
    return (loss * (middle / distortion_weight(t)).sqrt()).mean()


@torch.no_grad()
def evaluate(model: CompressionModel, images: list[Tensor]) -> dict[str, Any]:
    """Mean estimated bpp and PSNR of whole images (1, 3, 64h, 64w) at DEV_LAMBDAS, and the mean cost."""
    model.eval()
    rates, costs = [], []
    for weight in DEV_LAMBDAS:
        bpps, z_bpps, psnrs = [], [], []
        t = torch.tensor([rate_of_weight(weight)])
        for x in images:
            coded = model(x, t)
            x_hat = coded.x_hat.clamp(0, 1).mul(255).round().div(255)
            bpps.append(float(coded.bits) / (x.shape[2] * x.shape[3]))
            z_bpps.append(float(coded.z_bits) / (x.shape[2] * x.shape[3]))
            psnrs.append(-10 * math.log10(max(float((x - x_hat).square().mean()), 1e-10)))
            costs.append(float(rate_distortion_loss(x, x_hat, coded.bits, t)))
        rates.append({"lambda": weight, "bpp": _mean(bpps), "z_bpp": _mean(z_bpps), "psnr_db": _mean(psnrs)})
    return {"rates": rates, "cost": _mean(costs)}


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


class Run:
    """One training run: its weights, their average, the optimiser and the clock."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        torch.manual_seed(recipe.seed)
        sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr] # progress shows in a file too
        photos = load_photos(recipe.data, least_side_px=recipe.patch_px)
        self.dev = _dev_images(recipe)
        print(f"{len(photos)} photos to train on, {len(self.dev)} to evaluate on")
        self.step, self.cpu_seconds = 0, 0.0
        saved = load_checkpoint(recipe.resume) if recipe.resume else None
        # A resumed run draws other patches than the first one did.
        self.sampler = PatchSampler(photos, recipe.seed + (saved["step"] if saved else 0))
        self.model = CompressionModel(Shape(**saved["shape"]) if saved else Shape())
        self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        set_quantised(self.model, recipe.quantised)
        if saved is None and not recipe.random_start:
            start_as_klt(self.model, self.sampler.draw(1000, 64))
        self.average = copy.deepcopy(self.model).requires_grad_(requires_grad=False)
        self.optimiser = torch.optim.Adam(_parameter_groups(self.model), fused=True)
        if saved is not None:
            self._restore(saved)

    def _restore(self, saved: dict[str, Any]) -> None:
        self.average.load_state_dict(saved["model"])
        self.model.load_state_dict(saved.get("live", saved["model"]))
        if "optimiser" in saved:
            self.optimiser.load_state_dict(saved["optimiser"])
        self.step, self.cpu_seconds = saved["step"], saved["cpu_seconds"]

    def save(self, name: str = "checkpoint.pt") -> Path:
        """Writes the checkpoint; "model" is the average, "live" what training goes on from."""
        path = self.recipe.out / name
        save_run(
            path,
            self.average,
            live=self.model.state_dict(),
            optimiser=self.optimiser.state_dict(),
            step=self.step,
            cpu_seconds=self.cpu_seconds,
        )
        return path

    def train_step(self, part: float) -> float:
        """One step at a part in [0, 1] of the run; returns the loss."""
        recipe = self.recipe
        x = self.sampler.draw(recipe.batch, recipe.patch_px)
        for group in self.optimiser.param_groups:
            group["lr"] = group["haste"] * _learning_rate(recipe, self.step, part)
        t = torch.rand(x.shape[0])
        self.model.train()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            coded = self.model(x, t)
        loss = balanced(rate_distortion_loss(x, coded.x_hat, coded.bits, t), t)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimiser.step()
        self.step += 1
        self._follow(min(recipe.ema, self.step / (self.step + 10)))
        return float(loss.detach())

    @torch.no_grad()
    def _follow(self, keep: float) -> None:
        average: list[Tensor] = [*self.average.parameters()]
        live: list[Tensor] = [*self.model.parameters()]
        torch._foreach_lerp_(average, live, 1 - keep)

    def report(self, started: float, mean_loss: float) -> None:
        """Evaluates the average, appends to the record, redraws the curve and saves."""
        point: dict[str, Any] = (
            evaluate(self.average, self.dev) if self.dev else {"rates": [], "cost": mean_loss}
        )
        point |= {"step": self.step, "cpu_seconds": self.cpu_seconds, "loss": mean_loss}
        record = self.recipe.out / "record.jsonl"
        curve.append_point(record, point)
        if self.dev:
            curve.plot(curve.read_points(record), self.recipe.out / "curve.png")
        self.save()
        shown = "  ".join(f"{r['bpp']:.3f} bpp {r['psnr_db']:.2f} dB" for r in point["rates"])
        minutes = (time.monotonic() - started) / 60
        print(f"{minutes:6.1f} min  step {self.step}  loss {mean_loss:.4f}  dev {point['cost']:.4f}  {shown}")


def train(recipe: Recipe) -> Path:
    """Runs until the time is up; returns the checkpoint's path. A kill loses a few minutes at most."""
    recipe.out.mkdir(parents=True, exist_ok=True)
    run = Run(recipe)
    started, cpu_at_start, cpu_before = time.monotonic(), time.process_time(), run.cpu_seconds
    run.report(started, math.nan)
    losses: list[float] = []
    next_report = time.monotonic() + recipe.eval_every_s / 3
    warm = recipe.cool_down > 0
    while (part := (time.monotonic() - started) / (recipe.minutes * 60)) < 1:
        if warm and part > 1 - recipe.cool_down:
            run.cpu_seconds = cpu_before + time.process_time() - cpu_at_start
            run.save("warm.pt")
            warm = False
        losses.append(run.train_step(part))
        if time.monotonic() > next_report:
            run.cpu_seconds = cpu_before + time.process_time() - cpu_at_start
            run.report(started, sum(losses) / len(losses))
            losses.clear()
            next_report = time.monotonic() + recipe.eval_every_s
    run.cpu_seconds = cpu_before + time.process_time() - cpu_at_start
    if losses:
        run.report(started, sum(losses) / len(losses))
    return run.save()


def _parameter_groups(model: CompressionModel) -> list[dict[str, object]]:
    """Networks, and the few logarithms of scales and gains, which may move faster."""
    curves = [part for part in model.modules() if isinstance(part, RateCurve | FactorisedPrior)]
    logarithms = [parameter for part in curves for parameter in part.parameters()]
    fast = {id(parameter) for parameter in logarithms}
    networks = [parameter for parameter in model.parameters() if id(parameter) not in fast]
    return [{"params": networks, "haste": 1.0}, {"params": logarithms, "haste": 5.0}]


def _learning_rate(recipe: Recipe, step: int, part: float) -> float:
    """500 steps of warm-up, then constant; over the cool-down, if any, in a line down to 1 %."""
    left = min(1.0, (1 - part) / recipe.cool_down) if recipe.cool_down else 1.0
    return recipe.learning_rate * min(1, (step + 1) / 500) * (0.01 + 0.99 * left)


def _dev_images(recipe: Recipe) -> list[Tensor]:
    if recipe.dev is None:
        return []
    photos = load_photos([recipe.dev])
    chosen = photos[:: max(1, len(photos) // recipe.dev_images)][: recipe.dev_images]
    return [to_tensor(_whole_cells(photo)[None]) for photo in chosen]


def _whole_cells(photo: np.ndarray) -> np.ndarray:
    """The photograph without what is left over of whole cells of z at its right and lower borders."""
    height, width = photo.shape[:2]
    return photo[: height // HYPER_STRIDE * HYPER_STRIDE, : width // HYPER_STRIDE * HYPER_STRIDE]


def _parse(argv: list[str] | None = None) -> tuple[Recipe, int]:
    parser = argparse.ArgumentParser(prog="python -m pipeline.training.compression", description=__doc__)
    add = parser.add_argument
    add("--data", type=Path, action="append", required=True, help="folder of photographs (repeatable)")
    add("--dev", type=Path, help="folder of photographs to evaluate on, never trained on")
    add("--out", type=Path, default=Path("runs/compression"), help="for checkpoint, record and curve")
    add("--minutes", type=float, required=True, help="wall time of this run")
    add("--resume", type=Path, help="checkpoint to go on from, .pt or .safetensors")
    add("--learning-rate", type=float, default=Recipe.learning_rate)
    add("--cool-down", type=float, default=0.0, help="part of this run over which the rate of learning falls")
    add("--quantised", action="store_true", help="round the entropy parameters as in the exported graph")
    add("--batch", type=int, default=Recipe.batch)
    add("--patch-px", type=int, default=Recipe.patch_px, help="side of the patches, a multiple of 64")
    add("--eval-every-s", type=float, default=Recipe.eval_every_s)
    add("--seed", type=int, default=0)
    add("--random-start", action="store_true", help="start from random weights, to compare")
    add("--threads", type=int, default=1)
    given = vars(parser.parse_args(argv))
    threads = given.pop("threads")
    return Recipe(**{**given, "data": tuple(given["data"])}), threads


if __name__ == "__main__":
    chosen_recipe, thread_count = _parse()
    torch.set_num_threads(thread_count)
    print(f"checkpoint: {train(chosen_recipe)}")
