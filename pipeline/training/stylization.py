"""Trains the stylization networks: `python -m pipeline.training.stylization --data DIR --styles DIR ...`.

A step takes crops of photographs (and some paintings) as content and crops of paintings as style, at random
scales, paints with strengths from none to full, and lowers

    content loss + style loss (at full strength of the style's statistics; else between content and style)
    + what a decoder without a style, (alpha, beta) = (1, 0), misses of the content
    + what the border of a picture differs by from the same place inside of a larger one
    + small terms against grids and values out of range
    + with `--teacher`, at full strength: what the result differs by from a larger, published model's.

Half of the steps look at crops as they are; the others paint twice as large and look at the result reduced to
half, so that enlarged, soft pictures are learnt too. The moving average of the weights is what gets evaluated
and exported. The rate of learning stays constant, so that runs can be chained with `--resume`; a run with
`--cool-down 0.5` lowers it over its last half (`warm.pt` is from before the descent, to go on from).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from pipeline.models.stylization.from_artifact import load_run
from pipeline.models.stylization.model import StylizationModel
from pipeline.models.stylization.shape import FAST, STANDARD, Shape
from pipeline.training.box import Shown, add_arguments, train_for
from pipeline.training.micro_ast import load_microast
from pipeline.training.paintings import load_paintings
from pipeline.training.photos import load_photos, refuse_overlap
from pipeline.training.scaled_crops import ScaledCrops, squared
from pipeline.training.state import TrainingState
from pipeline.training.style_judge import Judge, Marks, psnr_db, reduced
from pipeline.training.style_loss import (
    Perception,
    between,
    content_loss,
    grid_loss,
    range_loss,
    style_loss,
)
from pipeline.training.style_sheet import contact_sheet, marks_line, plot_marks

SIZES = {"standard": STANDARD, "fast": FAST}
DEV_PX = 512
LEAST_PAINTING_PX = 128
EDGE_PX = 24  # so far inside, a picture's own border is hardly felt
SHOWN = Shown(marks_line, plot_marks)
_SHALLOW = {"11", "21"}  # relu1_1, relu2_1


@dataclass(frozen=True)
class Recipe:
    """What a run does. Defaults were chosen for one CPU core."""

    data: tuple[Path, ...]
    styles: tuple[Path, ...]
    loss_weights: Path
    dev: Path | None
    out: Path
    minutes: float
    resume: Path | None = None
    size: str = "standard"
    batch: int = 2
    crop_px: int = 128
    learning_rate: float = 8e-4
    cool_down: float = 0.0
    ema: float = 0.9995
    full_every: int = 6
    style_weight: float = 3.0
    shallow_weight: float = 1.0
    identity_weight: float = 20.0
    edge_weight: float = 20.0
    grid_weight: float = 100.0
    range_weight: float = 50.0
    teacher: Path | None = None
    teacher_weight: float = 40.0
    painted_content: float = 0.15
    dev_pairs: int = 8
    eval_every_s: float = 600.0
    seed: int = 0
    random_start: bool = False


@dataclass(frozen=True)
class Batch:
    """What a step paints, and how far the result is reduced before it is looked at."""

    content: Tensor
    style: Tensor
    alpha: Tensor
    reduced_to_px: int


class Draws:
    """Draws batches: about a quarter at strengths between none and full, the others at full strength."""

    def __init__(self, recipe: Recipe, seed: int) -> None:
        paintings = load_paintings(recipe.styles, range(2, 8), least_side_px=LEAST_PAINTING_PX)
        photos = load_photos(recipe.data, least_side_px=recipe.crop_px)
        print(f"{len(photos)} photos and {len(paintings)} paintings to train on")
        self._recipe = recipe
        self._photos = ScaledCrops(photos, (0.4, 1.0), seed)
        self._painted = ScaledCrops(paintings, (0.4, 1.0), seed + 1)
        self._styles = ScaledCrops(paintings, (0.5, 1.0), seed + 2)
        self._random = np.random.default_rng(seed + 3)

    def draw(self) -> Batch:
        recipe = self._recipe
        large = bool(self._random.random() < 0.5)
        count = recipe.batch if large else 2 * recipe.batch
        side = 2 * recipe.crop_px if large else recipe.crop_px
        painted = int(self._random.binomial(count, recipe.painted_content))
        contents = [self._photos.draw(count - painted, side)] if painted < count else []
        contents += [self._painted.draw(painted, side)] if painted else []
        between = self._random.random(count) < 0.25
        between[-1] = False  # the last one is at full strength, which the teacher knows
        alpha = torch.from_numpy(np.where(between, self._random.random(count), 0.0)).float()[:, None]
        order = torch.from_numpy(self._random.permutation(count))
        content = torch.cat(contents)[order].contiguous(memory_format=torch.channels_last)
        return Batch(content, self._styles.draw(count, side), alpha, recipe.crop_px)


class Run:
    """One training run: what it changes, and what it learns from."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        torch.manual_seed(recipe.seed)
        refuse_overlap(recipe.data, recipe.dev)
        saved = load_run(recipe.resume) if recipe.resume else None
        # A resumed run draws other crops than the first one did.
        self.draws = Draws(recipe, recipe.seed + 10 * (saved["step"] if saved else 0))
        self.perception = Perception(recipe.loss_weights, torch.bfloat16)
        self.judge = Judge.load(recipe.loss_weights)
        self.dev = list(_dev_pairs(recipe))
        self.references = [self.judge.reference(*map(reduced, pair)) for pair in self.dev]
        model = StylizationModel(Shape(**saved["shape"]) if saved else SIZES[recipe.size])
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        groups: list[dict[str, object]] = [{"params": list(model.parameters()), "haste": 1.0}]
        self.state = TrainingState(model, groups, recipe.ema)
        if saved is not None:
            self.state.restore(saved)
        self.teacher = load_microast(recipe.teacher) if recipe.teacher else None
        self.warm = recipe.cool_down > 0

    def train_step(self, part: float) -> float:
        """One step at a part in [0, 1] of the run; returns the loss."""
        recipe, state = self.recipe, self.state
        if self.warm and part > 1 - recipe.cool_down:
            state.save(recipe.out / "warm.pt")
            self.warm = False
        state.model.train()
        batch = self.draws.draw()
        loss = self.loss(batch, full=state.step % recipe.full_every == 0)
        return state.descend(loss, _learning_rate(recipe, state.step - state.begun, part))

    def loss(self, batch: Batch, *, full: bool) -> Tensor:
        """The loss of a batch, with the full VGG or the compressed one."""
        recipe, side = self.recipe, batch.reduced_to_px
        copies = max(1, batch.content.shape[0] // 4)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            painted, copied = self.state.model.paint_and_copy(batch.content, batch.style, batch.alpha, copies)
        painted, copied = painted.float(), copied.float()
        with torch.no_grad():
            content = self.perception.look(reduced(batch.content, side), full=full)
            style = self.perception.look(reduced(batch.style, side), full=full)
        found = self.perception.look(reduced(painted, side), full=full)
        by_layer = style_loss(found, between(content, style, batch.alpha))
        style_part = torch.stack([self._layer_weight(name) * part for name, part in by_layer.items()]).sum()
        total = (
            content_loss(found, content)
            + recipe.style_weight * style_part
            + recipe.grid_weight * grid_loss(painted)
            + recipe.range_weight * range_loss(painted)
            + recipe.identity_weight * F.l1_loss(copied, batch.content[:copies])
            + recipe.edge_weight * self._edge_loss(batch, painted)
        )
        return total if self.teacher is None else total + recipe.teacher_weight * self._taught(batch, painted)

    def _layer_weight(self, name: str) -> float:
        """Within the style loss: colours and fine texture are in the first layers, by small numbers."""
        return self.recipe.shallow_weight if name in _SHALLOW else 1.0

    def _taught(self, batch: Batch, painted: Tensor) -> Tensor:
        """How far the pictures painted at full strength are from the teacher's, a pixel.

        A picture says what each pixel should be where statistics say only what all of them should come to:
        a few thousand steps of it go as far as many times more of the style loss alone.
        """
        if self.teacher is None:
            return painted.new_zeros(())
        full = batch.alpha[:, 0] == 0
        with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
            wanted = self.teacher(batch.content[full], batch.style[full])
        return F.l1_loss(painted[full], wanted.float().clamp(0, 1))

    def _edge_loss(self, batch: Batch, painted: Tensor) -> Tensor:
        """How the last picture without its edge is painted, against how it was painted with it.

        Otherwise the border, which the content loss hardly sees, takes whatever colour the style lacks. Small
        crops only: a border is the same in every size.
        """
        if painted.shape[2] > batch.reduced_to_px:
            return painted.new_zeros(())
        last = (batch.content[-1:], batch.style[-1:], batch.alpha[-1:])
        with torch.autocast("cpu", dtype=torch.bfloat16):
            inside = self.state.model.paint_inside(*last, EDGE_PX)
        expected = painted[-1:, :, EDGE_PX:-EDGE_PX, EDGE_PX:-EDGE_PX].detach()
        return F.l1_loss(inside.float(), expected)

    def evaluate(self) -> dict[str, Any] | None:
        """The average's marks on the dev pairs, painted at 512 px, judged at 256; a contact sheet."""
        if not self.dev:
            return None
        model = self.state.average.eval()
        none, full = torch.zeros(1, 1), torch.ones(1, 1)
        marks: list[Marks] = []
        identity = 0.0
        with torch.no_grad():
            for (content, style), reference in zip(self.dev, self.references, strict=True):
                found = reduced(model(content, style, none, full).clamp(0, 1))
                marks.append(self.judge.judge(found, reference))
                identity += psnr_db(model(content, style, full, none), content) / len(self.dev)
        contents, styles = ([reduced(pair[i]) for pair in self.dev[:5]] for i in (0, 1))
        contact_sheet(model, contents, styles).save(self.recipe.out / "sheet.png")
        means = _means(marks)
        cost = means["content"] + self.recipe.style_weight * (means["style_shallow"] + means["style_deep"])
        return {"rates": [], "cost": cost, **means, "identity_psnr_db": identity}


def _means(marks: list[Marks]) -> dict[str, float]:
    names = ("content", "style_shallow", "style_deep", "ssim")
    return {name: sum(getattr(mark, name) for mark in marks) / len(marks) for name in names}


def _dev_pairs(recipe: Recipe) -> Iterator[tuple[Tensor, Tensor]]:
    """Photographs and paintings that training never sees, (1, 3, 512, 512) each."""
    if recipe.dev is None:
        return
    photos = load_photos([recipe.dev])
    paintings = load_paintings(recipe.styles, [1], least_side_px=LEAST_PAINTING_PX)
    for i in range(min(recipe.dev_pairs, len(photos), len(paintings))):
        photo = photos[i * len(photos) // recipe.dev_pairs]
        painting = paintings[i * len(paintings) // recipe.dev_pairs]
        yield squared(photo, DEV_PX), squared(painting, DEV_PX)


def train(recipe: Recipe) -> Path:
    """Runs until the time is up; returns the checkpoint's path. A kill loses a few minutes at most."""
    recipe.out.mkdir(parents=True, exist_ok=True)
    return train_for(Run(recipe), recipe.out, recipe.minutes, recipe.eval_every_s, SHOWN)


def _learning_rate(recipe: Recipe, step: int, part: float) -> float:
    """100 steps of warm-up, then constant; over the cool-down, if any, in a line down to 1 %."""
    left = min(1.0, (1 - part) / recipe.cool_down) if recipe.cool_down else 1.0
    return recipe.learning_rate * min(1, (step + 1) / 100) * (0.01 + 0.99 * left)


def _parse(argv: list[str] | None = None) -> tuple[Recipe, int]:
    parser = argparse.ArgumentParser(prog="python -m pipeline.training.stylization", description=__doc__)
    out = Path("runs/stylization")
    add_arguments(parser, out=out, learning_rate=Recipe.learning_rate, eval_every_s=Recipe.eval_every_s)
    add = parser.add_argument
    add("--styles", type=Path, action="append", required=True, help="folder of paintings (repeatable)")
    add("--loss-weights", type=Path, required=True, help="holds vgg19_normalised and vgg19_small16x")
    add("--size", choices=sorted(SIZES), default=Recipe.size, help="of a new network")
    add("--cool-down", type=float, default=0.0, help="part of this run over which the rate of learning falls")
    add(
        "--full-every",
        type=int,
        default=Recipe.full_every,
        help="steps from one with the full VGG to the next",
    )
    add("--style-weight", type=float, default=Recipe.style_weight)
    add("--shallow-weight", type=float, default=Recipe.shallow_weight, help="of relu1_1 and relu2_1 in it")
    add("--identity-weight", type=float, default=Recipe.identity_weight)
    add("--grid-weight", type=float, default=Recipe.grid_weight)
    add(
        "--teacher", type=Path, help="folder of MicroAST's published weights, to learn from its pictures, too"
    )
    add("--teacher-weight", type=float, default=Recipe.teacher_weight)
    add("--batch", type=int, default=Recipe.batch)
    given = vars(parser.parse_args(argv))
    threads = given.pop("threads")
    lists = {name: tuple(given[name]) for name in ("data", "styles")}
    return Recipe(**{**given, **lists}), threads


if __name__ == "__main__":
    chosen_recipe, thread_count = _parse()
    torch.set_num_threads(thread_count)
    print(f"checkpoint: {train(chosen_recipe)}")
