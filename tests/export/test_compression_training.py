"""The training loop learns, resumes, and moves every weight of both halves."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.models.compression import CompressionModel, Shape, distortion_weight
from pipeline.models.factorised_prior import FactorisedPrior
from pipeline.models.klt import patch_statistics, start_as_klt
from pipeline.training.compression import Recipe, Run, rate_distortion_loss, train
from pipeline.training.photos import PatchSampler, load_photos, to_tensor
from tests.support.codec import landscape


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 12 pictures."""
    folder = tmp_path_factory.mktemp("photos")
    for seed in range(12):
        Image.fromarray(landscape(72, 88, seed)).save(folder / f"{seed:02}.png")
    return folder


def recipe(photos: Path, out: Path, minutes: float, resume: Path | None = None) -> Recipe:
    return Recipe(
        data=(photos,),
        dev=photos,
        out=out,
        minutes=minutes,
        resume=resume,
        batch=4,
        patch_px=32,
        last_patch_px=64,
        dev_images=3,
        eval_every_s=60,
    )


def test_training_lowers_the_cost_and_resumes(photos: Path, tmp_path: Path) -> None:
    """A few seconds lower the dev set's cost; a second run goes on from the first one's checkpoint."""
    # From random weights: what the KLT start leaves to learn takes longer than a busy machine gives.
    checkpoint = train(replace(recipe(photos, tmp_path / "a", minutes=0.12), random_start=True))
    lines = [json.loads(line) for line in (tmp_path / "a" / "record.jsonl").read_text().splitlines()]
    assert lines[-1]["cost"] < lines[0]["cost"]
    assert lines[-1]["cpu_seconds"] > 0
    assert (tmp_path / "a" / "curve.png").stat().st_size > 1000
    resumed = Run(recipe(photos, tmp_path / "b", minutes=1, resume=checkpoint))
    assert resumed.state.step == lines[-1]["step"] > 0
    before = resumed.state.step
    resumed.train_step(part=0.5)
    assert resumed.state.step == before + 1


def test_every_weight_of_both_halves_is_trained(photos: Path, tmp_path: Path) -> None:
    """The loss reaches encoder, decoder, gains and prior: after a few steps nothing stands where it stood."""
    tmp_path.joinpath("c").mkdir()
    run = Run(recipe(photos, tmp_path / "c", minutes=1))
    before = {name: value.detach().clone() for name, value in run.state.model.named_parameters()}
    for _ in range(4):
        run.train_step(part=0.1)
    still = [name for name, value in run.state.model.named_parameters() if torch.equal(value, before[name])]
    assert still == []


def test_the_klt_packs_energy() -> None:
    """Its vectors are orthonormal and its variances fall and sum to the patches' own."""
    images = to_tensor(np.stack([landscape(64, 64, seed) for seed in range(8)]))
    _, vectors, variances = patch_statistics(images)
    assert torch.allclose(vectors @ vectors.T, torch.eye(192), atol=1e-4)
    assert (variances.diff() <= 1e-7).all()
    cells = torch.nn.functional.pixel_unshuffle(images, 8).permute(1, 0, 2, 3).reshape(192, -1)
    assert float(variances.sum()) == pytest.approx(float(cells.var(dim=1, correction=0).sum()), rel=1e-3)


def test_the_klt_start_is_already_a_codec() -> None:
    """Before the first step it costs far less than random weights do."""
    images = to_tensor(np.stack([landscape(64, 64, seed) for seed in range(16)]))
    t = torch.full((16,), 0.5)
    costs = []
    for klt in (False, True):
        torch.manual_seed(0)
        model = CompressionModel(Shape(channels=32, latent_channels=32, blocks=1)).eval()
        if klt:
            start_as_klt(model, images)
        with torch.no_grad():
            coded = model(images, t)
        costs.append(float(rate_distortion_loss(images, coded.x_hat, coded.bits, t).mean()))
    assert costs[1] < 0.2 * costs[0]


def test_likelihoods_sum_to_one() -> None:
    """The prior is a distribution over the integers at every gain, for every channel."""
    prior = FactorisedPrior(5)
    prior.start_from_deviation(torch.tensor([0.1, 0.5, 1.0, 2.0, 4.0]))
    with torch.no_grad():
        prior.mean.copy_(torch.linspace(-1, 1, 5))
        for gain in (0.3, 1.0, 4.0):
            symbols = torch.arange(-400.0, 401.0).expand(1, 5, 1, -1)
            total = prior.likelihood(symbols, torch.full((1, 5, 1, 1), gain)).sum(dim=3)
            assert torch.allclose(total, torch.ones_like(total), atol=1e-3)


def test_lambda_spans_its_range() -> None:
    """Log-spaced: equal steps of t are equal factors."""
    weights = distortion_weight(torch.linspace(0, 1, 5))
    ratios = weights[1:] / weights[:-1]
    assert torch.allclose(ratios, ratios[0].expand(4), rtol=1e-4)
    assert float(weights[-1] / weights[0]) == pytest.approx(0.2 / 0.0006, rel=1e-4)


def test_patches_come_from_the_photos(photos: Path) -> None:
    """Sizes, range, and another seed gives other patches."""
    loaded = load_photos([photos], least_side_px=64)
    first, again, other = (PatchSampler(loaded, seed).draw(3, 64) for seed in (1, 1, 2))
    assert first.shape == (3, 3, 64, 64)
    assert 0 <= float(first.min()) < float(first.max()) <= 1
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_folder_without_pictures_is_named(tmp_path: Path) -> None:
    """A wrong path ends at once."""
    with pytest.raises(FileNotFoundError, match="no images"):
        load_photos([tmp_path])
