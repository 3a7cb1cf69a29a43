"""The exported stylization graphs: parity with torch, free sizes, a manifest that reads back."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
import torch

from export.__main__ import main
from export.stylization import load_model
from export.stylization_graphs import known_range
from pipeline.core.artifact import ArtifactManifest, read_manifest
from pipeline.models.checkpoint import save_run
from pipeline.models.stylization.from_artifact import load_run
from pipeline.models.stylization.graphs import StyleGraph
from pipeline.models.stylization.model import StylizationModel
from tests.benchmarks.style.painter import Painter
from tests.support.codec import landscape
from tests.support.stylization import SMALL, untrained

# torch's exporter itself warns of its own deprecations.
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning:torch")
MARKS = {"content": 2.5, "style_shallow": 0.5, "style_deep": 0.4, "ssim": 0.5, "identity_psnr_db": 33.0}


def network() -> StylizationModel:
    """A small network without training, but with biases: of equal tensors a graph keeps one."""
    model = copy.deepcopy(untrained(SMALL))
    torch.manual_seed(0)
    for value in model.parameters():
        if not value.any():
            torch.nn.init.normal_(value, std=0.01)
    return model


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An artifact of random weights, made by the command."""
    folder = tmp_path_factory.mktemp("stylization")
    save_run(folder / "checkpoint.pt", network(), step=7, cpu_seconds=3600.0)
    (folder / "record.jsonl").write_text(json.dumps({"step": 0}) + "\n" + json.dumps(MARKS) + "\n")
    arguments = ["stylization", "--checkpoint", str(folder / "checkpoint.pt"), "--out", str(folder / "made")]
    arguments += ["--record", str(folder / "record.jsonl")]
    assert main(arguments) == 0
    return folder / "made"


def session(artifact: Path, role: str) -> ort.InferenceSession:
    return ort.InferenceSession(str(artifact / f"{role}.onnx"), providers=["CPUExecutionProvider"])


def paint(artifact: Path, pixels: np.ndarray, weights: list[list[float]]) -> np.ndarray:
    """Whole pictures with two styles."""
    feat = session(artifact, "content").run(None, {"pixels": pixels})[0]
    encode = session(artifact, "style")
    styles = [encode.run(None, {"pixels": landscape(64, 96, seed)[None]})[0][0] for seed in (8, 9)]
    every = np.ones((len(pixels), 1), np.float32)
    feeds = {
        "content_feat": feat,
        "mean": feat.mean(axis=(2, 3)),
        "spread": np.sqrt(feat.var(axis=(2, 3)) + 1e-5),
        "style_feat": np.repeat(np.stack(styles)[None], len(pixels), axis=0),
        "style_weight": np.array(weights, np.float32),
        "alpha": 0.2 * every,
        "beta": 0.8 * every,
    }
    found: np.ndarray = session(artifact, "paint").run(None, feeds)[0]
    return found


def test_manifest_reads_back_and_names_its_facts(artifact: Path) -> None:
    """Digests match; halos, marks, terms and parity are there; the card shows the marks."""
    manifest: ArtifactManifest = read_manifest(artifact)
    assert set(manifest.files) == {"content", "style", "paint"}
    assert manifest.config["style_size"] == SMALL.style_size
    assert manifest.config["decoder_halo_px"] % manifest.config["stride_px"] == 0
    assert manifest.metrics["dev/ssim"] == 0.5
    assert manifest.graphs["paint"]["inputs"]["style_feat"]["axes"] == ["n", "k", SMALL.style_size]
    assert manifest.parity["paint"]["max_abs_difference"] <= 1
    assert "non-commercial" in manifest.terms.licence
    assert "dev/ssim: 0.5" in (artifact / "MODEL_CARD.md").read_text()


def test_any_size_and_batch(artifact: Path) -> None:
    """Pictures of a batch, each with a mixture of its own, come out as they do alone; sizes are free."""
    pixels = np.stack([landscape(72, 128, seed) for seed in (1, 2)])
    mixtures = [[1.0, 0.0], [0.25, 0.75]]
    both = paint(artifact, pixels, mixtures)
    assert both.shape == (2, 72, 128, 3)
    assert both.dtype == np.uint8
    for i in range(2):
        alone = paint(artifact, pixels[i : i + 1], [mixtures[i]])
        assert np.abs(alone[0].astype(int) - both[i]).max() <= 1
    assert paint(artifact, landscape(40, 200)[None], [[0.5, 0.5]]).shape == (1, 40, 200, 3)


def test_the_same_input_gives_the_same_bytes(artifact: Path) -> None:
    """Two sessions on one machine agree to the last bit."""
    pixels = landscape(64, 64)[None]
    assert np.array_equal(paint(artifact, pixels, [[1, 0]]), paint(artifact, pixels, [[1, 0]]))


def test_training_goes_on_from_the_artifact(artifact: Path) -> None:
    """Every weight is in the graphs, rounded to float16, with the network's shape and the steps so far."""
    found = load_run(artifact)
    assert found["step"] == 7
    again, full = load_model(artifact).state_dict(), network().state_dict()
    for name, value in full.items():
        assert torch.allclose(again[name], value, atol=1e-3)


def test_the_artifact_paints_the_same_in_tiles(artifact: Path) -> None:
    """Two passes over tiles of 64 pixels, some of them cut off: within the rounding of a level."""
    painter = Painter(artifact)
    pixels, style = landscape(232, 200)[None], painter.style(landscape(64, 64, 5)[None])
    whole, tiled = painter.paint(pixels, style), painter.paint_tiles(pixels, style, 64)
    apart = np.abs(whole.astype(int) - tiled)
    assert apart.max() <= 1
    assert (apart > 0).mean() < 1e-3


def test_styles_are_kept_within_what_paintings_gave() -> None:
    """Numbers beyond the range are cut to it; within it nothing is changed."""
    torch.manual_seed(0)
    model = StylizationModel(SMALL).eval()
    paintings = [np.random.default_rng(i).integers(0, 256, (40, 56, 3), dtype=np.uint8) for i in range(6)]
    least, largest = known_range(model, paintings)
    assert least.shape == largest.shape == (SMALL.style_size,)
    assert bool((least <= largest).all())
    stripes = torch.zeros(1, 64, 64, 3, dtype=torch.uint8)
    stripes[:, ::2] = 255
    with torch.no_grad():
        free, cut = (StyleGraph(model.style_encoder, known)(stripes) for known in (None, (least, largest)))
    beyond = (free < least) | (free > largest)
    assert bool(beyond.any())
    assert torch.equal(cut[~beyond], free[~beyond])
    assert bool(((cut >= least) & (cut <= largest)).all())
