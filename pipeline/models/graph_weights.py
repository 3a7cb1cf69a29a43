"""Weights that exported graphs hold, by the names that they have in the network."""

from __future__ import annotations

from pathlib import Path

import onnx
import torch
from onnx import numpy_helper

_HALF = ".half"  # what `export` stores in float16 has a name that ends so


def weights_of(graph: Path, prefix: str = "") -> dict[str, torch.Tensor]:
    """Every stored tensor of floats of a graph, as float32.

    Args:
        graph: An .onnx file.
        prefix: What the network calls the part that the graph was made of, "g_a." say.
    """
    floats = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16)
    return {
        prefix + stored.name.removesuffix(_HALF): torch.from_numpy(
            numpy_helper.to_array(stored).copy()
        ).float()
        for stored in onnx.load(graph).graph.initializer
        if stored.data_type in floats
    }
