"""The stylization training learns, resumes, cools down, and moves every weight."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.training import stylization
from pipeline.training.channel_statistics import channel_statistics
from pipeline.training.paintings import group_of, load_paintings, without_bars
from pipeline.training.style_judge import Judge, reduced, ssim
from pipeline.training.style_loss import Perception, grid_loss, range_loss
from pipeline.training.stylization import Recipe, Run, train
from tests.support.codec import landscape
from tests.support.loss_weights import write_loss_weights
from tests.support.stylization import SMALL


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_loss_weights(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 24 pictures, so that each group of paintings has some."""
    folder = tmp_path_factory.mktemp("pictures")
    for seed in range(24):
        Image.fromarray(landscape(130, 140, seed)).save(folder / f"{seed:02}.png")
    return folder


@pytest.fixture
def recipe(weights: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recipe:
    monkeypatch.setitem(stylization.SIZES, "standard", SMALL)
    monkeypatch.setattr(stylization, "DEV_PX", 256)
    return Recipe(
        data=(pictures,),
        styles=(pictures,),
        loss_weights=weights,
        dev=Path(shutil.copytree(pictures, pictures.with_name(f"{pictures.name}-dev"), dirs_exist_ok=True)),
        out=tmp_path,
        minutes=0.1,
        batch=4,
        crop_px=64,
        dev_pairs=2,
        eval_every_s=60,
    )


def test_training_lowers_the_cost_and_resumes(recipe: Recipe) -> None:
    """A few seconds lower the dev set's cost; a second run goes on from the first one's checkpoint."""
    for attempt in range(5):  # as many boxes as a busy machine needs
        last = recipe.out / "checkpoint.pt"
        train(replace(recipe, cool_down=0.3, learning_rate=0.001, resume=last if attempt else None))
        lines = [json.loads(line) for line in (recipe.out / "record.jsonl").read_text().splitlines()]
        if lines[-1]["cost"] < lines[0]["cost"] and (recipe.out / "warm.pt").exists():
            break
    assert lines[-1]["cost"] < lines[0]["cost"]
    assert (recipe.out / "warm.pt").exists()
    assert (recipe.out / "curve.png").stat().st_size > 1000
    with Image.open(recipe.out / "sheet.png") as sheet:
        assert sheet.size == (3 * 256, 3 * 256)
    resumed = Run(replace(recipe, resume=recipe.out / "checkpoint.pt"))
    assert resumed.state.step == lines[-1]["step"] > 0
    resumed.train_step(part=0.5)
    assert resumed.state.step == lines[-1]["step"] + 1


def test_every_weight_is_trained(recipe: Recipe) -> None:
    """The loss reaches every part: after a few steps no parameter stands where it stood."""
    run = Run(replace(recipe, learning_rate=0.1, dev=None))
    before = {name: value.detach().clone() for name, value in run.state.model.named_parameters()}
    for _ in range(6):
        run.train_step(part=0.1)
    still = [name for name, value in run.state.model.named_parameters() if torch.equal(value, before[name])]
    assert still == []


def test_no_painting_is_in_two_groups(pictures: Path) -> None:
    """The benchmark's, the evaluation's and the training's paintings are three sets that make up all."""
    parts = [load_paintings([pictures], groups, least_side_px=1) for groups in ([0], [1], range(2, 8))]
    assert sum(map(len, parts)) == 24
    assert all(parts)
    assert group_of(Path("a/x.png")) == group_of(Path("b/x.png"))


def test_black_bars_are_cut_off() -> None:
    """Letterboxed pictures lose their bars (and two blurred rows), dark ones without bars lose nothing."""
    boxed = np.zeros((100, 80, 3), np.uint8)
    boxed[20:70] = landscape(50, 80) // 2 + 60
    assert without_bars(boxed).shape == (46, 80, 3)
    plain = landscape(50, 80) // 2 + 60
    assert without_bars(plain).shape == plain.shape
    assert without_bars(np.zeros((9, 9, 3), np.uint8)).shape == (9, 9, 3)


def test_statistics_and_their_gradient_are_torchs() -> None:
    """The hand-written backward pass is the derivative of mean and deviation."""
    x = torch.randn(2, 3, 5, 7, dtype=torch.float64, requires_grad=True)
    mean, deviation = channel_statistics(x)
    assert torch.allclose(mean, x.mean(dim=(2, 3)).float(), atol=1e-6)
    expected = (x.var(dim=(2, 3), correction=0) + 1e-5).sqrt()
    assert torch.allclose(deviation, expected.float(), atol=1e-6)
    ours = torch.autograd.grad((mean * 2 + deviation.sin()).sum(), x)[0]
    theirs = torch.autograd.grad((x.mean(dim=(2, 3)) * 2 + expected.sin()).sum(), x)[0]
    assert torch.allclose(ours, theirs, atol=1e-6)


def test_a_grid_is_seen_and_a_picture_is_not() -> None:
    """Grids of 2 and of 8 pixels cost far more than a picture without one."""
    smooth = torch.from_numpy(landscape(128, 128, 3)).permute(2, 0, 1)[None].float() / 255
    for period in (2, 8):
        grid = torch.zeros(1, 3, 128, 128)
        grid[:, :, ::period, ::period] = 16 / 255 * (period / 2)
        assert float(grid_loss(smooth + grid)) > 5 * float(grid_loss(smooth))
    assert float(range_loss(smooth)) == 0
    assert float(range_loss(smooth + 1)) > 0


def test_the_judge_gives_the_best_marks_to_a_copy(weights: Path) -> None:
    """Content against itself costs nothing and is similar; the style against itself has no style loss."""
    judge = Judge.load(weights)
    content, style = (
        reduced(torch.from_numpy(landscape(512, 512, seed)).permute(2, 0, 1)[None].float() / 255)
        for seed in (1, 2)
    )
    reference = judge.reference(content, style)
    kept, restyled = judge.judge(content, reference), judge.judge(style, reference)
    assert kept.content == 0
    assert kept.ssim == pytest.approx(1)
    assert restyled.style_shallow == restyled.style_deep == 0
    assert restyled.content > 0
    assert kept.style_shallow > 0
    assert restyled.ssim < 0.9


def test_similarity_falls_with_noise() -> None:
    """SSIM of a picture and itself with more and more noise falls from 1."""
    x = torch.rand(1, 1, 64, 64)
    noise = torch.randn(1, 1, 64, 64)
    marks = [ssim(x, x + strength * noise) for strength in (0.0, 0.05, 0.5)]
    assert marks[0] == pytest.approx(1)
    assert marks[0] > marks[1] > marks[2]


def test_the_small_network_stands_for_the_full_one(weights: Path) -> None:
    """Both ways of looking give statistics of the same layers and widths."""
    perception = Perception(weights)
    x = torch.rand(2, 3, 64, 64)
    full, small = perception.look(x, full=True), perception.look(x, full=False)
    assert full.statistics.keys() == small.statistics.keys()
    assert torch.equal(full.content, small.content)
    for name, (mean, _) in full.statistics.items():
        assert mean.shape == small.statistics[name][0].shape
    assert torch.equal(full.statistics["11"][1], small.statistics["11"][1])
