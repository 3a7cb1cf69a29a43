"""Trains the compression network: `python -m pipeline.training.compression --data DIR --minutes N`.

Each step takes patches, draws a rate for each, codes them (encoder, latent, decoder, output) and lowers
bits + lambda(rate) * 255^2 * MSE with respect to both halves, the gains and the prior. Kept beside the
weights is their moving average, which is what gets evaluated and exported.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pipeline.models.blocks import STRIDE
from pipeline.models.checkpoint import load_checkpoint
from pipeline.models.compression import CompressionModel, Shape, distortion_weight
from pipeline.models.klt import start_as_klt
from pipeline.training.box import add_arguments, train_for
from pipeline.training.cost import evaluate_at, rate_distortion_cost
from pipeline.training.photos import PatchSampler, dev_images, load_photos
from pipeline.training.state import TrainingState

DEV_RATES = (0.1, 0.3, 0.5, 0.7, 0.9)


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
    last_patch_px: int = 256
    last_part: float = 0.15
    learning_rate: float = 6e-4
    ema: float = 0.999
    dev_images: int = 12
    eval_every_s: float = 180.0
    seed: int = 0
    random_start: bool = False


def rate_distortion_loss(x: Tensor, x_hat: Tensor, bits: Tensor, t: Tensor) -> Tensor:
    """The cost of each image, (B,), at its rate t."""
    return rate_distortion_cost(x, x_hat, bits, distortion_weight(t))


class Run:
    """One training run: what it changes, and what it learns from."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        torch.manual_seed(recipe.seed)
        photos = load_photos(recipe.data, least_side_px=recipe.last_patch_px)
        self.dev = dev_images(recipe.dev, recipe.dev_images, STRIDE)
        print(f"{len(photos)} photos to train on, {len(self.dev)} to evaluate on")
        saved = load_checkpoint(recipe.resume) if recipe.resume else None
        # A resumed run draws other patches than the first one did.
        self.sampler = PatchSampler(photos, recipe.seed + (saved["step"] if saved else 0))
        model = CompressionModel(Shape(**saved["shape"]) if saved else Shape())
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if saved is None and not recipe.random_start:
            start_as_klt(model, self.sampler.draw(600, 64))
        self.state = TrainingState(model, _parameter_groups(model), recipe.ema)
        if saved is not None:
            self.state.restore(saved)

    def train_step(self, part: float) -> float:
        """One step at a part in [0, 1] of the run; returns the loss."""
        recipe = self.recipe
        late = part > 1 - recipe.last_part
        x = self.sampler.draw(
            recipe.batch if not late else max(1, recipe.batch // 4),
            recipe.last_patch_px if late else recipe.patch_px,
        )
        t = torch.rand(x.shape[0])
        self.state.model.train()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            coded = self.state.model(x, t)
        loss = rate_distortion_loss(x, coded.x_hat, coded.bits, t).mean()
        return self.state.descend(loss, _learning_rate(recipe, self.state.step, part))

    def evaluate(self) -> dict[str, Any] | None:
        """The average's bits, PSNR and cost on the dev images, at DEV_RATES."""
        rates = [(t, float(distortion_weight(torch.tensor(t)))) for t in DEV_RATES]
        return evaluate_at(self.state.average, self.dev, rates, {}) if self.dev else None


def train(recipe: Recipe) -> Path:
    """Runs until the time is up; returns the checkpoint's path. A kill loses a few minutes at most."""
    recipe.out.mkdir(parents=True, exist_ok=True)
    return train_for(Run(recipe), recipe.out, recipe.minutes, recipe.eval_every_s)


def _parameter_groups(model: CompressionModel) -> list[dict[str, object]]:
    """Networks, and the few logarithms of scales and gains, which may move faster."""
    networks = [*model.g_a.parameters(), *model.g_s.parameters()]
    logarithms = [*model.gain.parameters(), *model.inverse_gain.parameters(), *model.prior.parameters()]
    return [{"params": networks, "haste": 1.0}, {"params": logarithms, "haste": 5.0}]


def _learning_rate(recipe: Recipe, step: int, part: float) -> float:
    """500 steps of warm-up, then half a cosine down to 2 % over the time given."""
    cosine = 0.5 * (1 + math.cos(math.pi * part))
    return recipe.learning_rate * min(1, (step + 1) / 500) * (0.02 + 0.98 * cosine)


def _parse(argv: list[str] | None = None) -> tuple[Recipe, int]:
    parser = argparse.ArgumentParser(prog="python -m pipeline.training.compression", description=__doc__)
    out = Path("runs/compression")
    add_arguments(parser, out=out, learning_rate=Recipe.learning_rate, eval_every_s=Recipe.eval_every_s)
    given = vars(parser.parse_args(argv))
    threads = given.pop("threads")
    return Recipe(**{**given, "data": tuple(given["data"])}), threads


if __name__ == "__main__":
    chosen_recipe, thread_count = _parse()
    torch.set_num_threads(thread_count)
    print(f"checkpoint: {train(chosen_recipe)}")
