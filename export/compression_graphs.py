"""The graphs of the codec as ONNX files, with the names and axes of what goes in and out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim

from export.graph import export_graph, round_weights_to_half
from pipeline.models.blocks import PATCH
from pipeline.models.compression.graphs import (
    AnalysisGraph,
    ContextGraph,
    HyperAnalysisGraph,
    ParametersGraph,
    ReductionGraph,
    SynthesisGraph,
)
from pipeline.models.compression.model import CompressionModel

_N, _H, _W = Dim("n"), Dim("h"), Dim("w")
_LATENT = {0: _N, 2: 2 * _H, 3: 2 * _W}
_WHOLE_Z = {0: _N, 2: 4 * _H, 3: 4 * _W}
_CELLS = {0: _N, 2: _H, 3: _W}
_QUALITY = {0: _N}


@dataclass(frozen=True)
class GraphFile:
    """A graph: its module, example inputs by name, their dynamic axes, and its outputs' axes by name."""

    module: nn.Module
    inputs: dict[str, tuple[Tensor, dict[int, Any]]]
    outputs: dict[str, tuple[str | int, ...]]


def graph_files(model: CompressionModel) -> dict[str, GraphFile]:
    """The graphs of a model, whose float networks are rounded to float16 here, in place."""
    for network in (model.g_a, model.h_a, model.g_s):
        round_weights_to_half(network)
    channels, hyper, features = (
        model.shape.latent_channels,
        model.shape.hyper_channels,
        model.shape.entropy_channels,
    )
    quality = (torch.tensor([3, 40]), _QUALITY)
    latent = (torch.zeros(2, channels // 4, 24, 32), _LATENT)
    fine, coarse = ("n", channels, "4*h", "4*w"), ("n", channels, "h", "w")
    found = {
        "analysis": GraphFile(
            AnalysisGraph(model),
            {"planes": (torch.zeros(2, 192, 8, 12, dtype=torch.uint8), _LATENT)},
            {"y": ("n", channels // 4, "2*h", "2*w")},
        ),
        "hyper_analysis": GraphFile(
            HyperAnalysisGraph(model),
            {"y": (torch.zeros(2, channels, 8, 12), _WHOLE_Z), "quality": quality},
            {"z": ("n", hyper, "h", "w")},
        ),
        "parameters": GraphFile(
            ParametersGraph(model),
            {"z": (torch.zeros(2, hyper, 3, 4, dtype=torch.int16), _CELLS), "quality": quality},
            {"scale": fine, "mean": fine, "features": ("n", features, "4*h", "4*w")},
        ),
        "context": GraphFile(
            ContextGraph(model),
            {
                "told": (torch.zeros(2, channels, 12, 16), _CELLS),
                "features": (torch.zeros(2, features, 12, 16), _CELLS),
            },
            {"scale": coarse, "mean": coarse},
        ),
        "synthesis": GraphFile(
            SynthesisGraph(model), {"y_hat": latent}, {"planes": ("n", PATCH, "2*h", "2*w")}
        ),
    }
    for graph in found.values():
        graph.module.eval()
    return found


def reduction_file(weight: Tensor, bias: Tensor) -> GraphFile:
    """The graph of `ReductionGraph`, rounded to float16."""
    graph = ReductionGraph(weight.half().float(), bias).eval()
    latent = (torch.zeros(2, weight.shape[1] // 4, 24, 32), _LATENT)
    return GraphFile(graph, {"y_hat": latent}, {"planes": ("n", 3, "2*h", "2*w")})


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
