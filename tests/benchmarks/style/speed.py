"""CPU-seconds a picture of content encoder and decoder, ours and MicroAST's in turn in one process."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import Tensor, nn
from torch.export import Dim

from pipeline.training.micro_ast import MicroAST
from tests.benchmarks.style.painter import Painter, session

SIZES = {"512": (512, 512), "1024": (1024, 1024), "4096": (2160, 4096)}
ROUNDS = {"512": 15, "1024": 5, "4096": 1}
Paint = Callable[[np.ndarray], object]


def cpu_seconds(
    painters: Mapping[str, Painter], microast: MicroAST, sizes: Mapping[str, tuple[int, int]]
) -> dict[str, dict[str, float]]:
    """Median CPU-seconds by row and size; every round runs each row once."""
    random = np.random.default_rng(0)
    style = random.integers(0, 256, (1, 256, 256, 3), np.uint8)
    rows: dict[str, Paint] = {"MicroAST": _microast(microast, style)}
    for name, painter in painters.items():
        rows[name] = _ours(painter, style)
    found: dict[str, dict[str, float]] = {name: {} for name in rows}
    for size, (height, width) in sizes.items():
        pixels = random.integers(0, 256, (1, height, width, 3), np.uint8)
        spent: dict[str, list[float]] = {name: [] for name in rows}
        for turn in range(ROUNDS[size] + (size == "512")):
            for name, paint in rows.items():
                begun = time.process_time()
                paint(pixels)
                if turn or size != "512":  # the very first warms up
                    spent[name].append(time.process_time() - begun)
        for name, values in spent.items():
            found[name][size] = statistics.median(values)
    return found


def _ours(painter: Painter, style: np.ndarray) -> Paint:
    vector = painter.style(style)
    return lambda pixels: painter.paint(pixels, vector)


def _microast(model: MicroAST, style: np.ndarray) -> Paint:
    """Its content encoder and decoder as one graph, so that nothing is copied between them."""
    moments, filters = model.style(torch.from_numpy(style).permute(0, 3, 1, 2).float() / 255)
    given = dict(
        zip(("statistics", "weight1", "bias1", "weight2", "bias2"), (moments, *filters), strict=True)
    )
    height, width = Dim("h"), Dim("w")
    with TemporaryDirectory() as folder:
        path = Path(folder) / "microast.onnx"
        torch.onnx.export(
            MicroASTContentGraph(model).eval(),
            (torch.zeros(1, 256, 320, 3, dtype=torch.uint8), *given.values()),
            str(path),
            dynamo=True,
            input_names=["pixels", *given],
            dynamic_shapes=({1: 4 * height, 2: 4 * width}, *({} for _ in given)),
            external_data=False,
            verbose=False,
        )
        running = session(path)
    feeds = {name: value.numpy() for name, value in given.items()}
    return lambda pixels: running.run(None, feeds | {"pixels": pixels})


class MicroASTContentGraph(nn.Module):
    """The part that runs once an image, as ours is exported: uint8 pixels in, uint8 pixels out."""

    def __init__(self, model: MicroAST) -> None:
        super().__init__()
        self.encoder, self.decoder = model.content_encoder, model.decoder

    def forward(  # noqa: PLR0917 - the inputs of a graph
        self,
        pixels: Tensor,
        statistics: Tensor,
        weight1: Tensor,
        bias1: Tensor,
        weight2: Tensor,
        bias2: Tensor,
    ) -> Tensor:
        content = self.encoder(pixels.permute(0, 3, 1, 2).float() / 255)[1]
        x_hat = self.decoder(content, statistics, (weight1, bias1, weight2, bias2))
        return (x_hat * 255).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)
