"""Trains the compression model: `python -m pipeline.training.compression --data DIR --minutes N`.

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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pipeline.models.blocks import RateCurve
from pipeline.models.checkpoint import load_checkpoint
from pipeline.models.compression.exact import set_quantised
from pipeline.models.compression.klt import start_as_klt
from pipeline.models.compression.model import CompressionModel, distortion_weight, rate_of_weight
from pipeline.models.compression.shape import HYPER_STRIDE, Shape
from pipeline.models.factorised_prior import FactorisedPrior
from pipeline.training.box import add_arguments, train_for
from pipeline.training.cost import evaluate_at, rate_distortion_cost
from pipeline.training.photos import PatchSampler, dev_images, load_photos, refuse_overlap
from pipeline.training.state import TrainingState

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
    """The cost of each image, (B,), at its rate t."""
    return rate_distortion_cost(x, x_hat, bits, distortion_weight(t))


def balanced(loss: Tensor, t: Tensor) -> Tensor:
    """The mean loss of a batch with each rate's cost in proportion to its own size, about lambda^(1/2).

    Otherwise the highest rates, a hundred times the cost of the lowest, would be all that is learnt.
    """
    middle = distortion_weight(torch.tensor(0.5))
    return (loss * (middle / distortion_weight(t)).sqrt()).mean()


class Run:
    """One training run: what it changes, and what it learns from."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        torch.manual_seed(recipe.seed)
        refuse_overlap(recipe.data, recipe.dev)
        photos = load_photos(recipe.data, least_side_px=recipe.patch_px)
        self.dev = dev_images(recipe.dev, recipe.dev_images, HYPER_STRIDE)
        print(f"{len(photos)} photos to train on, {len(self.dev)} to evaluate on")
        saved = load_checkpoint(recipe.resume) if recipe.resume else None
        # A resumed run draws other patches than the first one did.
        self.sampler = PatchSampler(photos, recipe.seed + (saved["step"] if saved else 0))
        model = CompressionModel(Shape(**saved["shape"]) if saved else Shape())
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        set_quantised(model, recipe.quantised)
        if saved is None and not recipe.random_start:
            start_as_klt(model, self.sampler.draw(1000, 64))
        self.state = TrainingState(model, _parameter_groups(model), recipe.ema)
        self.warm = recipe.cool_down > 0
        if saved is not None:
            self.state.restore(saved)

    def train_step(self, part: float) -> float:
        """One step at a part in [0, 1] of the run; returns the loss."""
        recipe, state = self.recipe, self.state
        if self.warm and part > 1 - recipe.cool_down:
            state.save(recipe.out / "warm.pt")
            self.warm = False
        x = self.sampler.draw(recipe.batch, recipe.patch_px)
        t = torch.rand(x.shape[0])
        state.model.train()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            coded = state.model(x, t)
        loss = balanced(rate_distortion_loss(x, coded.x_hat, coded.bits, t), t)
        return state.descend(loss, _learning_rate(recipe, state.step - state.begun, part))

    def evaluate(self) -> dict[str, Any] | None:
        """The average's bits (z's too), PSNR and cost on the dev images, at DEV_LAMBDAS."""
        if not self.dev:
            return None
        rates = [(rate_of_weight(weight), weight) for weight in DEV_LAMBDAS]
        return evaluate_at(self.state.average, self.dev, rates, {"z_bpp": lambda coded: coded.z_bits})


def train(recipe: Recipe) -> Path:
    """Runs until the time is up; returns the checkpoint's path. A kill loses a few minutes at most."""
    recipe.out.mkdir(parents=True, exist_ok=True)
    return train_for(Run(recipe), recipe.out, recipe.minutes, recipe.eval_every_s)


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


def _parse(argv: list[str] | None = None) -> tuple[Recipe, int]:
    parser = argparse.ArgumentParser(prog="python -m pipeline.training.compression", description=__doc__)
    out = Path("runs/compression")
    add_arguments(parser, out=out, learning_rate=Recipe.learning_rate, eval_every_s=Recipe.eval_every_s)
    add = parser.add_argument
    add("--cool-down", type=float, default=0.0, help="part of this run over which the rate of learning falls")
    add("--quantised", action="store_true", help="round the entropy parameters as in the exported graph")
    add("--batch", type=int, default=Recipe.batch)
    add("--patch-px", type=int, default=Recipe.patch_px, help="side of the patches, a multiple of 64")
    given = vars(parser.parse_args(argv))
    threads = given.pop("threads")
    return Recipe(**{**given, "data": tuple(given["data"])}), threads


if __name__ == "__main__":
    chosen_recipe, thread_count = _parse()
    torch.set_num_threads(thread_count)
    print(f"checkpoint: {train(chosen_recipe)}")
