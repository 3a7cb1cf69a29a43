"""The integer graphs: the same numbers whatever computes them, and what training believed."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
import torch
from torch.nn import functional as F

from export.compression_graphs import GraphFile, export_graphs, graph_files
from export.compression_tables import REACH, fit_to_residuals, make_tables
from pipeline.codec.entropy_tables import EntropyTables
from pipeline.models.blocks import rate_of_quality
from pipeline.models.compression.exact import ExactConv, set_quantised
from pipeline.models.compression.exact_layer import ExactLayer, NotExactError
from pipeline.models.compression.gaussian import residual_bits
from pipeline.models.compression.graphs import mean_unit, of_every_quality, spread_units
from pipeline.models.compression.hyperprior import first_half
from pipeline.models.compression.klt import start_as_klt
from pipeline.models.compression.model import CompressionModel
from pipeline.training.photos import to_tensor
from tests.export.test_compression_training import SMALL
from tests.support.codec import landscape

# torch's exporter itself warns of its own deprecations.
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning:torch")
LEVELS = ort.GraphOptimizationLevel
QUALITY = np.array([11, 77], np.int64)


@lru_cache(maxsize=1)
def small_model() -> CompressionModel:
    """The KLT of landscapes with entropy parameters that say something, untrained."""
    torch.manual_seed(0)
    model = CompressionModel(SMALL)
    start_as_klt(model, to_tensor(np.stack([landscape(64, 64, seed) for seed in range(40)])))
    with torch.no_grad():
        for layer in (model.parameters_of, model.context):
            layer.scale.conv.weight.normal_(std=0.1)
            layer.mean.conv.weight.normal_(std=0.1)
    set_quantised(model, True)
    return model.eval()


@lru_cache(maxsize=1)
def graphs() -> dict[str, GraphFile]:
    return graph_files(small_model())


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("graphs")
    export_graphs(graphs(), out)
    return out


@lru_cache(maxsize=1)
def latents() -> dict[str, np.ndarray]:
    """What torch makes of two pictures at two qualities, step by step."""
    pixels = torch.from_numpy(np.stack([landscape(128, 192, seed) for seed in (3, 4)]))
    planes = F.pixel_unshuffle(pixels.permute(0, 3, 1, 2), 8)
    quality = torch.from_numpy(QUALITY)
    module = {name: graph.module for name, graph in graphs().items()}
    gain = of_every_quality(small_model().log_gain).exp()[quality][:, :, None, None]
    unit, spread = (
        table[quality][:, :, None, None] for table in (mean_unit(small_model()), spread_units(small_model()))
    )
    with torch.no_grad():
        scaled = F.pixel_unshuffle(module["analysis"](planes), 2) * gain
        z = module["hyper_analysis"](scaled / (unit * 1024), quality)
        scale, mean, features = module["parameters"](z, quality)
        half = first_half(scaled)
        residual = torch.round(scaled - mean * unit) * half
        more_scale, more_mean = module["context"](residual.clamp(-31, 31), features)
    later = 1 - half
    total = {"scale": scale + more_scale * later, "mean": mean + more_mean * later}
    level = torch.floor((total["scale"] + spread).clamp(min=0) * 1756 / 2**16 + 0.5).clamp(max=63)
    found = {
        "z": z, "scale": scale, "mean": mean, "features": features, "told": residual.clamp(-31, 31),
        "more_scale": more_scale, "more_mean": more_mean, "level": level,
        "residual": torch.round(scaled - total["mean"] * unit),
    }  # fmt: skip
    return {name: value.numpy() for name, value in found.items()} | {"pixels": pixels.numpy()}


def run(path: Path, feeds: dict[str, np.ndarray], threads: int, level: LEVELS) -> list[np.ndarray]:
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.graph_optimization_level = threads, level
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    every = feeds | {"quality": QUALITY}
    batch = session.run(None, {value.name: every[value.name] for value in session.get_inputs()})
    single = [
        session.run(None, {value.name: every[value.name][i : i + 1] for value in session.get_inputs()})
        for i in range(2)
    ]
    for k, value in enumerate(batch):
        assert np.array_equal(value, np.concatenate([one[k] for one in single]))
    return list(batch)


@pytest.mark.parametrize("threads", [1, 2, 4])
@pytest.mark.parametrize("level", [LEVELS.ORT_DISABLE_ALL, LEVELS.ORT_ENABLE_BASIC, LEVELS.ORT_ENABLE_ALL])
def test_probabilities_are_the_same_everywhere(files: Path, threads: int, level: LEVELS) -> None:
    """Scales and means of both steps: torch, ONNX Runtime at any level, threads and batch: no difference."""
    known = latents()
    assert len(np.unique(known["level"])) > 10
    for graph, names in (
        ("parameters", ("scale", "mean", "features")),
        ("context", ("more_scale", "more_mean")),
    ):
        for found, name in zip(run(files / f"{graph}.onnx", known, threads, level), names, strict=True):
            assert np.array_equal(found, known[name]), name


def test_another_order_of_sums_changes_nothing() -> None:
    """Computed in float64 with channels reversed in memory, every layer gives the same integers."""
    known = latents()
    module = graphs()["parameters"].module.double()
    with torch.no_grad():
        z, quality = torch.from_numpy(known["z"]), torch.from_numpy(QUALITY)
        x = z.double() * module.step[quality][:, :, None, None]
        single = module.float().widen(x.float(), quality)
        double = module.double().widen(x.to(memory_format=torch.channels_last), quality)
    module.float()
    assert torch.equal(single.double(), double)


def test_a_layer_that_could_lose_bits_is_refused() -> None:
    """A layer so wide that its sums could pass 2^24 does not become an exact one."""
    layer = ExactConv(1024, 4)
    torch.nn.init.constant_(layer.conv.weight, 1.9)
    with pytest.raises(NotExactError):
        ExactLayer(layer, 255)


def test_training_and_graphs_agree_on_the_cost() -> None:
    """Bits that quantised training counts are those of the graphs' tables and residuals, within 0.5 %."""
    known, model = latents(), small_model()
    t = rate_of_quality(torch.from_numpy(QUALITY + 1).float())
    with torch.no_grad():
        trained = model(to_tensor(known["pixels"]), t).y_bits
    residual, level = (torch.from_numpy(known[name]) for name in ("residual", "level"))
    bits = residual_bits(residual, level).sum(dim=(1, 2, 3))
    assert torch.allclose(bits, trained, rtol=0.005)


def test_tables_load_and_fit(tmp_path: Path) -> None:
    """Tables survive the file; each Gaussian's is symmetric, and there is one a channel and quality for z."""
    make_tables(small_model()).save(tmp_path / "tables.npz")
    tables = EntropyTables.load(tmp_path / "tables.npz")
    assert tables.qualities == 100
    assert tables.z(100).lowest.size == SMALL.hyper_channels
    assert tables.y.lowest.size == 64
    assert (tables.y_size == 2 * -tables.y_lowest + 2).all()


def test_tables_follow_what_was_counted() -> None:
    """Counted residuals get their frequencies, of both signs alike; levels never seen a heavy tail."""
    before = make_tables(small_model())
    counts = np.zeros((64, 2 * REACH + 1), np.int64)
    counts[20, REACH - 1 : REACH + 3] = (300_000, 500_000, 100_000, 100_000)
    after = fit_to_residuals(before, counts)
    ends = np.cumsum(after.y_size)
    table = after.y_mass[ends[19] : ends[20]] / 65536
    middle = -after.y_lowest[20]
    assert table[middle - 2 : middle + 3] == pytest.approx([0.05, 0.2, 0.5, 0.2, 0.05], abs=0.005)
    assert (after.y_size[30:50] > before.y_size[30:50]).all()
    assert (
        np.add.reduceat(after.y_mass.astype(np.int64), (ends - after.y_size).astype(np.int64)) == 65536
    ).all()
