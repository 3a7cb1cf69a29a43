"""The training loop learns, resumes, cools down, and moves every weight."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.core.artifact import built_in_directory
from pipeline.models.compression.gaussian import LEVELS, residual_bits, scale_of_level
from pipeline.models.compression.klt import start_as_klt
from pipeline.models.compression.model import CompressionModel, distortion_weight, rate_of_weight
from pipeline.models.compression.shape import Shape
from pipeline.training import compression
from pipeline.training.compression import Recipe, Run, rate_distortion_loss, train
from pipeline.training.photos import to_tensor
from tests.support.codec import landscape

CHECKPOINT = built_in_directory("compression") / "checkpoint.safetensors"
SMALL = Shape(
    channels=24,
    latent_channels=32,
    hyper_channels=8,
    encoder_blocks=1,
    decoder_blocks=1,
    entropy_channels=16,
    context_channels=16,
    anchors=3,
)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 12 pictures."""
    folder = tmp_path_factory.mktemp("photos")
    for seed in range(12):
        Image.fromarray(landscape(136, 150, seed)).save(folder / f"{seed:02}.png")
    return folder


@pytest.fixture(autouse=True)
def small_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs start with a network that a test can afford."""
    monkeypatch.setattr(compression, "Shape", lambda **size: Shape(**size) if size else SMALL)


def recipe(photos: Path, out: Path, minutes: float) -> Recipe:
    return Recipe(
        data=(photos,),
        dev=Path(shutil.copytree(photos, photos.with_name(f"{photos.name}-dev"), dirs_exist_ok=True)),
        out=out,
        minutes=minutes,
        batch=2,
        patch_px=64,
        dev_images=2,
        eval_every_s=60,
    )


def test_training_lowers_the_cost_and_resumes(photos: Path, tmp_path: Path) -> None:
    """A few seconds lower the dev set's cost; a second run goes on from the first one's checkpoint."""
    given = replace(recipe(photos, tmp_path / "a", minutes=0.15), cool_down=0.3)
    for _ in range(8):  # a busy machine takes more of these boxes
        checkpoint = train(given)
        lines = [json.loads(line) for line in (tmp_path / "a" / "record.jsonl").read_text().splitlines()]
        if lines[-1]["cost"] < lines[0]["cost"]:
            break
        given = replace(given, resume=checkpoint)
    assert lines[-1]["cost"] < lines[0]["cost"]
    assert lines[-1]["cpu_seconds"] > 0
    assert (tmp_path / "a" / "curve.png").stat().st_size > 1000
    assert (tmp_path / "a" / "warm.pt").exists()
    resumed = Run(replace(recipe(photos, tmp_path / "b", minutes=1), resume=checkpoint, quantised=True))
    assert resumed.state.step == lines[-1]["step"] > 0
    before = resumed.state.step
    resumed.train_step(part=0.5)
    assert resumed.state.step == before + 1
    assert resumed.state.model.parameters_of.scale.quantised


def test_every_weight_is_trained(photos: Path, tmp_path: Path) -> None:
    """The loss reaches every part: after a few steps no parameter stands where it stood."""
    tmp_path.joinpath("c").mkdir()
    run = Run(replace(recipe(photos, tmp_path / "c", minutes=1), learning_rate=0.01))
    before = {name: value.detach().clone() for name, value in run.state.model.named_parameters()}
    for _ in range(8):
        run.train_step(part=0.1)
    still = [name for name, value in run.state.model.named_parameters() if torch.equal(value, before[name])]
    assert still == []


def test_the_klt_start_is_already_a_codec() -> None:
    """Before the first step it costs far less than random weights do."""
    images = to_tensor(np.stack([landscape(64, 64, seed) for seed in range(30)]))
    t = torch.full((30,), 0.5)
    costs = []
    for klt in (False, True):
        torch.manual_seed(0)
        model = CompressionModel(SMALL).eval()
        if klt:
            start_as_klt(model, images)
        with torch.no_grad():
            coded = model(images, t)
        costs.append(float(rate_distortion_loss(images, coded.x_hat, coded.bits, t).mean()))
    assert costs[1] < 0.2 * costs[0]


def test_gaussians_sum_to_one_and_span_their_range() -> None:
    """Scales go from 0.11 to 64 in 64 equal factors; each level is a distribution over the integers."""
    level = torch.arange(float(LEVELS))
    scales = scale_of_level(level)
    assert float(scales[0]) == pytest.approx(0.11)
    assert float(scales[-1]) == pytest.approx(64, rel=1e-3)
    symbols = torch.arange(-600.0, 601.0)
    likelihood = torch.exp2(-residual_bits(symbols[None], level[:, None]))
    assert torch.allclose(likelihood.sum(dim=1), torch.ones(LEVELS), atol=1e-3)


def test_lambda_spans_its_range() -> None:
    """Log-spaced, and `rate_of_weight` is the inverse."""
    weights = distortion_weight(torch.linspace(0, 1, 5))
    ratios = weights[1:] / weights[:-1]
    assert torch.allclose(ratios, ratios[0].expand(4), rtol=1e-4)
    assert rate_of_weight(float(weights[1])) == pytest.approx(0.25, abs=1e-4)


def test_training_goes_on_from_the_published_checkpoint(photos: Path, tmp_path: Path) -> None:
    """Its weights fit the network of today, which codes pictures it never saw as a codec should."""
    resumed = Run(replace(recipe(photos, tmp_path, minutes=1), resume=CHECKPOINT))
    assert resumed.state.step > 30_000
    evaluated = resumed.evaluate()
    assert evaluated is not None
    lowest, highest = evaluated["rates"][0], evaluated["rates"][-1]
    assert lowest["bpp"] < 0.1
    assert lowest["psnr_db"] > 30
    assert highest["bpp"] < 0.65
    assert highest["psnr_db"] > 40
    before = resumed.state.step
    resumed.train_step(part=0.5)
    assert resumed.state.step == before + 1
