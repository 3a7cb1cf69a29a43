"""What all trainings share: nothing is lost by a forgotten option, and nothing by a number that is none."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from torch import nn

from export import shared_weights
from pipeline.core.errors import ParityError
from pipeline.training.box import train_for
from pipeline.training.photos import load_photos, photo_paths, refuse_overlap
from pipeline.training.state import MOST_SKIPPED, TrainingState
from tests.support.image_bytes import picture


def state() -> TrainingState[nn.Linear]:
    torch.manual_seed(0)
    model = nn.Linear(3, 1)
    return TrainingState(model, [{"params": list(model.parameters()), "haste": 1.0}], ema=0.9)


def test_an_earlier_training_is_not_written_over(tmp_path: Path) -> None:
    """Without --resume a run in a folder that has a checkpoint does not begin."""
    (tmp_path / "checkpoint.pt").write_bytes(b"hours of work")
    run = cast("Any", SimpleNamespace(recipe=SimpleNamespace(resume=None)))
    with pytest.raises(SystemExit, match="go on from it with --resume"):
        train_for(run, tmp_path, 1, 1)
    assert (tmp_path / "checkpoint.pt").read_bytes() == b"hours of work"


def test_losses_that_are_no_numbers_change_nothing() -> None:
    """A few are passed over; a run of them ends the training with the weights as they were."""
    found = state()
    x = torch.ones(4, 3)
    found.descend(found.model(x).square().mean(), 0.01)
    before = [value.clone() for value in (*found.model.parameters(), *found.average.parameters())]
    for _ in range(MOST_SKIPPED):
        found.descend(found.model(x).mean() * torch.nan, 0.01)
    with pytest.raises(FloatingPointError):
        found.descend(found.model(x).mean() * torch.nan, 0.01)
    after = [*found.model.parameters(), *found.average.parameters()]
    assert all(torch.equal(*pair) for pair in zip(before, after, strict=True))
    assert found.step == 1


def test_a_start_without_an_optimiser_warms_up_again() -> None:
    """Weights alone, as of an artifact, go on at their step; the rate of learning begins from its own."""
    found = state()
    found.restore({"model": found.average.state_dict(), "step": 900, "cpu_seconds": 1.0})
    assert (found.step, found.begun) == (900, 900)
    other = state()
    whole = {"model": other.average.state_dict(), "optimiser": other.optimiser.state_dict()}
    other.restore({**whole, "step": 900, "cpu_seconds": 1.0})
    assert (other.step, other.begun) == (900, 0)


@pytest.mark.parametrize("value", [torch.nan, 0.5])
def test_parity_takes_no_other_numbers(monkeypatch: pytest.MonkeyPatch, value: float) -> None:
    """Also none that are not any."""

    class Session:
        inputs = ("x",)

        def __init__(self, *_: object, **__: object) -> None:
            """Nothing is loaded."""

        def run(self, feeds: dict[str, Any]) -> list[Any]:
            return [feeds["x"] * 0 + value]

    monkeypatch.setattr(shared_weights, "OrtSession", Session)
    cases = [(torch.zeros(2, 3),)]
    with pytest.raises(ParityError):
        shared_weights.check_shared_parity(nn.Identity(), Path("x.onnx"), [], {}, cases)


def test_dev_photographs_are_not_learnt_from(tmp_path: Path) -> None:
    for name in ("train/a.png", "train/dev/b.png", "other/c.png", "other/._c.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        picture(8, 8).save(tmp_path / name, format="PNG")
    refuse_overlap([tmp_path / "train"], tmp_path / "other")
    refuse_overlap([tmp_path / "train"], None)
    with pytest.raises(ValueError, match=r"1 photographs .* such as .*b\.png"):
        refuse_overlap([tmp_path / "train"], tmp_path / "train/dev")
    (tmp_path / "other/d.jpg").write_bytes(b"no picture")
    assert [path.name for path in photo_paths([tmp_path / "other"])] == ["c.png", "d.jpg"]
    with pytest.raises(OSError, match=r"d\.jpg"):
        load_photos([tmp_path / "other"])
