"""An export is an artifact that a worker loads, and the built-in one is whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from export.card import write_card
from export.compression import export_compression
from pipeline.codec.container import parse
from pipeline.core.artifact import built_in_directory, read_manifest
from pipeline.core.errors import ParityError
from pipeline.inference.artifacts import load_directory
from pipeline.inference.tri_codec import TriCodec
from pipeline.metrics.psnr import psnr_db
from pipeline.models.checkpoint import load_checkpoint, save_run, save_weights
from pipeline.models.compression.klt import start_as_klt
from pipeline.models.compression.model import CompressionModel
from pipeline.training.photos import to_tensor
from tests.export.test_compression_training import SMALL
from tests.support.codec import landscape

# torch's exporter itself warns of its own deprecations.
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning:torch")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    model = CompressionModel(SMALL)
    start_as_klt(model, to_tensor(np.stack([landscape(64, 64, seed) for seed in range(40)])))
    path = tmp_path_factory.mktemp("run") / "checkpoint.pt"
    save_run(path, model, step=7, cpu_seconds=3600.0)
    return path


def test_an_export_codes_pictures(checkpoint: Path, tmp_path: Path) -> None:
    """Graphs, tables, manifest and card; the codec of the directory codes and decodes, reduced, too."""
    photos = [landscape(130, 140, seed) for seed in range(4)]
    digest = export_compression(checkpoint, tmp_path, photos)
    write_card(tmp_path)
    assert digest in (tmp_path / "MODEL_CARD.md").read_text()
    artifact = load_directory(tmp_path, digest)
    assert artifact.manifest.config["training_steps"] == 7
    assert artifact.manifest.parity["parameters"]["differing"] == 0
    assert artifact.manifest.parity["context"]["differing"] == 0
    codec = TriCodec.from_artifact(artifact)
    pixels = landscape(100, 90, 50)
    file = parse(codec.encode(pixels, 70).to_bytes())
    assert (psnr_db(pixels, codec.decode(file)) or 99) > 25
    assert codec.decode_reduced(file).shape == (13, 12, 3)


def test_an_artifact_keeps_each_weight_once(checkpoint: Path, tmp_path: Path) -> None:
    """The checkpoint beside the graphs lacks what they hold; training goes on from both together."""
    export_compression(checkpoint, tmp_path, [landscape(64, 64)])
    path = tmp_path / "checkpoint.safetensors"
    with safe_open(str(path), framework="pt") as file:
        assert not [name for name in file.keys() if name.startswith("g_a.blocks") and name.endswith("weight")]  # noqa: SIM118
    saved, again = load_checkpoint(checkpoint), load_checkpoint(path)
    assert again["step"] == 7
    assert set(again["model"]) == set(saved["model"])
    for name, value in saved["model"].items():
        assert torch.allclose(value, again["model"][name], rtol=1e-3, atol=1e-6), name


def test_weights_survive_their_file(checkpoint: Path, tmp_path: Path) -> None:
    """A published checkpoint holds the average to float16's precision, small tensors exactly."""
    saved = load_checkpoint(checkpoint)
    model = CompressionModel(SMALL)
    model.load_state_dict(saved["model"])
    save_weights(tmp_path / "c.safetensors", model, step=7, cpu_seconds=1.0)
    again = load_checkpoint(tmp_path / "c.safetensors")["model"]
    for name, value in saved["model"].items():
        assert torch.allclose(value, again[name], rtol=1e-3, atol=1e-6)


def test_parity_is_enforced(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An export whose graphs differ from torch by more than is allowed gives no manifest."""
    monkeypatch.setitem(export_compression.__globals__["ALLOWED"], "context", lambda _, __: False)
    with pytest.raises(ParityError, match="context"):
        export_compression(checkpoint, tmp_path, [landscape(64, 64)])
    assert not (tmp_path / "manifest.json").exists()


def test_the_built_in_artifact_is_whole() -> None:
    """Every file has its digest; weights of the package stay under 32 MB; the terms are there."""
    directory = built_in_directory("compression")
    manifest = read_manifest(directory)
    assert manifest.terms.licence
    assert sum(path.stat().st_size for path in directory.rglob("*") if path.is_file()) < 32e6
