"""The five graphs of the codec as ONNX files, with the names and axes of what goes in and out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim

from export.graph import export_graph, round_weights_to_half
from pipeline.models.standard.graphs import (
    AnalysisGraph,
    ContextGraph,
    HyperAnalysisGraph,
    ParametersGraph,
    SynthesisGraph,
)
from pipeline.models.standard.model import CompressionModel

_N, _H, _W = Dim("n"), Dim("h"), Dim("w")
_LATENT = {0: _N, 2: 2 * _H, 3: 2 * _W}
_COARSE_LATENT = {0: _N, 2: 8 * _H, 3: 8 * _W}
_CELLS = {0: _N, 2: _H, 3: _W}
_QUALITY = {0: _N}


@dataclass(frozen=True)
class GraphFile:
    """A graph: its module, example inputs by name, their dynamic axes, and its outputs' axes by name."""

    module: nn.Module
    inputs: dict[str, tuple[Tensor, dict[int, Any]]]
    outputs: dict[str, tuple[str | int, ...]]


def graph_files(model: CompressionModel) -> dict[str, GraphFile]:
    """All graphs of a model, whose float networks are rounded to float16 here, in place."""
    for network in (model.g_a, model.h_a, model.g_s):
        round_weights_to_half(network)
    channels, hyper, features = (
        model.shape.latent_channels,
        model.shape.hyper_channels,
        model.shape.entropy_channels,
    )
    quality = (torch.tensor([3, 40]), _QUALITY)
    latent = ("n", channels // 4, "2*h", "2*w")
    found = {
        "analysis": GraphFile(
            AnalysisGraph(model),
            {"pixels": (torch.zeros(2, 64, 96, 3, dtype=torch.uint8), {0: _N, 1: 16 * _H, 2: 16 * _W})},
            {"y": latent},
        ),
        "hyper_analysis": GraphFile(
            HyperAnalysisGraph(model),
            {"y": (torch.zeros(2, channels // 4, 16, 24), _COARSE_LATENT), "quality": quality},
            {"z": ("n", hyper, "h", "w"), "scaled": ("n", channels // 4, "8*h", "8*w")},
        ),
        "parameters": GraphFile(
            ParametersGraph(model),
            {"z": (torch.zeros(2, hyper, 3, 4, dtype=torch.int16), _CELLS), "quality": quality},
            {
                "table": ("n", channels // 4, "8*h", "8*w"),
                "mean": ("n", channels // 4, "8*h", "8*w"),
                "scale_units": ("n", channels, "4*h", "4*w"),
                "features": ("n", features, "4*h", "4*w"),
            },
        ),
        "context": GraphFile(
            ContextGraph(model),
            {
                "residual": (torch.zeros(2, channels // 4, 24, 32, dtype=torch.int16), _LATENT),
                "first_mean": (torch.zeros(2, channels // 4, 24, 32), _LATENT),
                "features": (torch.zeros(2, features, 12, 16, dtype=torch.uint8), _CELLS),
                "scale_units": (torch.zeros(2, channels, 12, 16, dtype=torch.int16), _CELLS),
                "quality": quality,
            },
            {"table": latent, "mean": latent},
        ),
        "synthesis": GraphFile(
            SynthesisGraph(model),
            {
                "residual": (torch.zeros(2, channels // 4, 24, 32, dtype=torch.int16), _LATENT),
                "mean": (torch.zeros(2, channels // 4, 24, 32), _LATENT),
                "quality": quality,
            },
            {"pixels": ("n", "16*h", "16*w", 3)},
        ),
    }
    for graph in found.values():
        graph.module.eval()
    return found


def export_graphs(graphs: dict[str, GraphFile], out: Path) -> dict[str, dict[str, Any]]:
    """Writes NAME.onnx for each; returns what the manifest says of them."""
    return {
        name: export_graph(
            graph.module,
            tuple(example for example, _ in graph.inputs.values()),
            out / f"{name}.onnx",
            inputs=tuple(graph.inputs),
            outputs=graph.outputs,
            dynamic_shapes=tuple(axes for _, axes in graph.inputs.values()),
            all_half=False,  # tables over qualities and exact layers stay as they are
        )
        for name, graph in graphs.items()
    }
