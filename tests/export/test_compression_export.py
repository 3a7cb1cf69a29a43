"""The exported codec against torch: the built-in artifact, and a fresh export of a small network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from export.__main__ import main
from export.compression_cases import decoder_cases, encoder_cases, pixels_agree, symbols_agree
from export.graph import check_parity, round_weights_to_half
from export.tables import integer_masses
from pipeline.codec.tables import TOTAL, ProbabilityTables
from pipeline.core.artifact import built_in_directory, read_manifest
from pipeline.core.errors import ParityError
from pipeline.inference.artifacts import load_directory
from pipeline.inference.tri_codec import TriCodec
from pipeline.metrics.psnr import psnr_db
from pipeline.models.checkpoint import load_checkpoint, load_model, save_run, save_weights
from pipeline.models.compression import CompressionModel, Shape
from pipeline.models.compression_graphs import DecoderGraph, EncoderGraph
from pipeline.models.klt import start_as_klt
from pipeline.training.photos import to_tensor
from tests.support.codec import landscape

# torch's exporter itself warns of its own deprecations.
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning:torch")

BUILT_IN = built_in_directory("compression")


def small_model() -> CompressionModel:
    """An untrained codec that already works: the KLT of landscapes, residual branches not silent."""
    torch.manual_seed(0)
    model = CompressionModel(Shape(channels=24, latent_channels=24, blocks=1, anchors=3))
    start_as_klt(model, to_tensor(np.stack([landscape(64, 64, seed) for seed in range(40)])))
    with torch.no_grad():
        for parameter in (*model.g_a.blocks.parameters(), *model.g_s.blocks.parameters()):
            parameter.add_(torch.randn_like(parameter) * 0.01)
    return model.eval()


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh export of the small network, measured on two pictures."""
    root = tmp_path_factory.mktemp("export")
    save_run(root / "small.pt", small_model(), step=3, cpu_seconds=1.5)
    (root / "pictures").mkdir()
    for seed in (100, 101):
        Image.fromarray(landscape(90, 130, seed)).save(root / "pictures" / f"{seed}.png")
    arguments = [
        "--checkpoint",
        str(root / "small.pt"),
        "--out",
        str(root / "out"),
        "--dev",
        str(root / "pictures"),
    ]
    assert main(["compression", *arguments]) == 0
    return root / "out"


def test_built_in_graphs_compute_what_torch_computes() -> None:
    """The shipped graphs against the shipped checkpoint, on shapes other than the traced one."""
    model = load_model(BUILT_IN / "checkpoint.safetensors")
    round_weights_to_half(model)
    cases, decoder_inputs = encoder_cases(model), decoder_cases(model)
    encoder = check_parity(EncoderGraph(model.g_a), BUILT_IN / "encoder.onnx", cases, allowed=symbols_agree)
    decoder = check_parity(
        DecoderGraph(model.g_s), BUILT_IN / "decoder.onnx", decoder_inputs, allowed=pixels_agree
    )
    assert encoder["values"] > 100_000
    assert decoder["values"] > 100_000


def test_the_built_in_manifest_says_what_a_user_must_know() -> None:
    """Parity, metrics, data and terms are there; files are small and name no path of a machine."""
    manifest = read_manifest(BUILT_IN)
    assert set(manifest.parity) == {"encoder", "decoder"}
    assert manifest.metrics["bsds_dev/q50/psnr_db"] > 29
    assert len(manifest.terms.data_sets) == 3
    assert manifest.graphs["encoder"]["inputs"]["pixels"]["axes"] == ["n", "8*h", "8*w", 3]
    assert sum(path.stat().st_size for path in BUILT_IN.iterdir()) < 4 * 2**20
    for path in BUILT_IN.iterdir():
        assert b"site-packages" not in path.read_bytes()


def test_a_fresh_export_codes_pictures(exported: Path) -> None:
    """The artifact loads and its codec works at every end of the quality range."""
    artifact = load_directory(exported)
    codec = TriCodec.from_artifact(artifact)
    pixels = landscape(75, 50, seed=7)
    low, high = codec.encode(pixels, 1), codec.encode(pixels, 100)
    assert len(low.to_bytes()) < len(high.to_bytes())
    assert (psnr_db(pixels, codec.decode(high)[0]) or 99) > 30
    assert (
        artifact.manifest.metrics["pictures/q100/psnr_db"] > artifact.manifest.metrics["pictures/q1/psnr_db"]
    )
    assert artifact.digest in (exported / "MODEL_CARD.md").read_text()


def test_the_exported_codec_is_the_trained_one(exported: Path) -> None:
    """Symbols of the graph, decoded by torch, give the graph's own picture within a grey level."""
    model = load_model(exported / "checkpoint.safetensors")
    round_weights_to_half(model)
    tables = ProbabilityTables.load(exported / "tables.npz")
    pixels = torch.from_numpy(landscape(64, 48, seed=3)[None])
    with torch.no_grad():
        symbols = EncoderGraph(model.g_a)(pixels, torch.from_numpy(tables.gain[49:50]))
        expected = DecoderGraph(model.g_s)(symbols, torch.from_numpy(tables.inverse_gain[49:50]))[0].numpy()
    codec = TriCodec.from_artifact(load_directory(exported))
    found = codec.decode(codec.encode(pixels[0].numpy(), 50))[0]
    assert np.abs(found.astype(int) - expected).max() <= 1


def test_estimated_bits_are_real_bits(exported: Path) -> None:
    """What training believed a picture to cost is what its file costs, header aside."""
    model = load_model(exported / "checkpoint.safetensors")
    pixels = landscape(256, 256, seed=9)
    with torch.no_grad():
        estimate = float(model(to_tensor(pixels[None]), torch.tensor([49 / 99])).bits)
    codec = TriCodec.from_artifact(load_directory(exported))
    (tile,) = codec.encode(pixels, 50).tiles
    assert len(tile.payload) * 8 == pytest.approx(estimate, rel=0.02)


def test_another_network_is_a_parity_error() -> None:
    """The check notices a graph that computes something else."""
    model = load_model(BUILT_IN / "checkpoint.safetensors")
    round_weights_to_half(model)
    with torch.no_grad():
        model.g_a.head.weight.mul_(1.02)
    with pytest.raises(ParityError):
        check_parity(
            EncoderGraph(model.g_a), BUILT_IN / "encoder.onnx", encoder_cases(model), allowed=symbols_agree
        )


def test_both_checkpoint_forms_hold_the_same(tmp_path: Path) -> None:
    """`.pt` and `.safetensors` give the same network."""
    model = small_model()
    save_run(tmp_path / "a.pt", model, step=5, cpu_seconds=2.5)
    save_weights(tmp_path / "a.safetensors", model, step=5, cpu_seconds=2.5)
    first, second = (load_checkpoint(tmp_path / name) for name in ("a.pt", "a.safetensors"))
    assert first["shape"] == second["shape"]
    assert (first["step"], first["cpu_seconds"]) == (second["step"], second["cpu_seconds"]) == (5, 2.5)
    assert all(torch.equal(first["model"][name], second["model"][name]) for name in first["model"])


@pytest.mark.parametrize("probabilities", [[1.0], [0.25] * 4, [1e-9, 0.999], [0.3, 0.3]])
def test_integer_masses(probabilities: list[float]) -> None:
    """Masses are at least 1, one more than the symbols, and sum to 65536."""
    masses = integer_masses(np.array(probabilities))
    assert masses.size == len(probabilities) + 1
    assert masses.min() >= 1
    assert masses.sum(dtype=np.int64) == TOTAL


def test_shape_travels_with_the_checkpoint(tmp_path: Path) -> None:
    """A checkpoint of another size loads as that size."""
    shape = replace(small_model().shape, blocks=2)
    save_weights(tmp_path / "b.safetensors", CompressionModel(shape), step=0, cpu_seconds=0)
    assert load_model(tmp_path / "b.safetensors").shape == shape
