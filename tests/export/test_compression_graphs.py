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
from export.compression_tables import make_tables
from pipeline.codec.entropy_tables import EntropyTables
from pipeline.models.blocks import rate_of_quality
from pipeline.models.compression.exact import ExactConv, set_quantised
from pipeline.models.compression.exact_layer import ExactLayer, NotExactError
from pipeline.models.compression.gaussian import residual_bits
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
    quality = torch.from_numpy(QUALITY)
    module = {name: graph.module for name, graph in graphs().items()}
    with torch.no_grad():
        y = module["analysis"](pixels)
        z, scaled = module["hyper_analysis"](y, quality)
        table, mean, scale_units, features = module["parameters"](z, quality)
        half = F.pixel_shuffle(first_half(torch.zeros(1, 4 * y.shape[1], 8, 12)), 2)
        residual = (torch.round(scaled - mean) * half).to(torch.int16)
        inputs = {
            "z": z,
            "residual": residual,
            "first_mean": mean,
            "features": features,
            "scale_units": scale_units,
        }
        second = module["context"](residual, mean, features, scale_units, quality)
    found = inputs | {"scaled": scaled, "half": half, "table": table, "table2": second[0], "mean2": second[1]}
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
    """Tables and means of both steps: torch, ONNX Runtime at any level, threads and batch: no difference."""
    known = latents()
    table, mean, scale_units, features = run(files / "parameters.onnx", known, threads, level)
    assert len(np.unique(table)) > 10
    for found, name in ((table, "table"), (mean, "first_mean"), (scale_units, "scale_units")):
        assert np.array_equal(found, known[name]), name
    assert np.array_equal(features, known["features"])
    table, mean = run(files / "context.onnx", known, threads, level)
    assert np.array_equal(table, known["table2"])
    assert np.array_equal(mean, known["mean2"])


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
    half = known["half"] > 0
    second = np.rint(known["scaled"] - known["mean2"])
    residual = torch.from_numpy(np.where(half, known["residual"], second))
    table = torch.from_numpy(np.where(half, known["table"], known["table2"]).astype(np.float32))
    bits = residual_bits(residual.float(), table).sum(dim=(1, 2, 3))
    assert torch.allclose(bits, trained, rtol=0.005)


def test_tables_load_and_fit(tmp_path: Path) -> None:
    """Tables survive the file; each Gaussian's is symmetric, and there is one a channel and quality for z."""
    make_tables(small_model()).save(tmp_path / "tables.npz")
    tables = EntropyTables.load(tmp_path / "tables.npz")
    assert tables.qualities == 100
    assert tables.z(100).lowest.size == SMALL.hyper_channels
    assert tables.y.lowest.size == 64
    assert (tables.y_size == 2 * -tables.y_lowest + 2).all()
