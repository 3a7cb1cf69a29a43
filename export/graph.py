"""torch module to ONNX graph, and the proof that both compute the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from pipeline.core.errors import ParityError

_LEAST_WEIGHTS_TO_HALVE = 64  # scalars of the graph itself stay float32


@torch.no_grad()
def round_weights_to_half(module: nn.Module) -> None:
    """Rounds every weight to the nearest float16 in place: torch then computes what the artifact stores."""
    for parameter in module.parameters():
        parameter.copy_(parameter.half().float())


def export_graph(
    module: nn.Module,
    example: tuple[Tensor, ...],
    path: Path,
    *,
    inputs: Sequence[str],
    outputs: Mapping[str, Sequence[str | int]],
    dynamic_shapes: tuple[Any, ...],
    all_half: bool = True,
) -> dict[str, Any]:
    """Writes one self-contained ONNX file; returns what the manifest says of it.

    Weights that float16 holds exactly are stored as such with a Cast beside each, which ONNX Runtime folds
    away when it loads the graph: half the file, no cost per run.

    Args:
        module: In evaluation mode, weights already rounded by `round_weights_to_half`.
        example: One input of each kind; sizes of dynamic axes are only examples.
        path: The .onnx file.
        inputs: Names of the inputs.
        outputs: Names of the outputs and of their axes (the exporter makes up names for derived ones).
        dynamic_shapes: As `torch.export` wants them.
        all_half: Whether a weight that float16 does not hold is an error; otherwise it stays float32.

    Raises:
        ParityError: A weight does not fit float16, or the exporter gave nothing.
    """
    program = torch.onnx.export(
        module,
        example,
        dynamo=True,
        input_names=list(inputs),
        output_names=list(outputs),
        dynamic_shapes=dynamic_shapes,
        external_data=False,
        verbose=False,
    )
    if program is None:
        raise ParityError(f"the exporter gave no program for {path.name}")
    model = program.model_proto
    _store_weights_as_half(model.graph, all_half=all_half)
    forget_source_paths(model.graph)
    for value, names in zip(model.graph.output, outputs.values(), strict=True):
        for axis, name in zip(value.type.tensor_type.shape.dim, names, strict=True):
            if isinstance(name, str):
                axis.dim_param = name
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))
    return {
        "opset": model.opset_import[0].version,
        "inputs": {value.name: describe(value) for value in model.graph.input},
        "outputs": {value.name: describe(value) for value in model.graph.output},
    }


def check_parity(
    module: nn.Module,
    path: Path,
    cases: Sequence[tuple[Tensor, ...]],
    *,
    allowed: Callable[[np.ndarray, np.ndarray], bool],
) -> dict[str, Any]:
    """Runs torch and ONNX Runtime on the same inputs.

    Args:
        module: The torch module that was exported.
        path: The ONNX file.
        cases: Inputs of different shapes.
        allowed: Whether an output of torch's and ONNX Runtime's are close enough.

    Returns:
        For the manifest: shapes tried, largest absolute difference, part of the values that differ.

    Raises:
        ParityError: Not close enough.
    """
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]
    largest, differing, total = 0.0, 0, 0
    for case in cases:
        with torch.no_grad():
            results = module(*case)
        expected = [value.numpy() for value in (results if isinstance(results, tuple) else (results,))]
        every = session.run(None, {name: value.numpy() for name, value in zip(names, case, strict=True)})
        for wanted, found in zip(expected, every, strict=True):
            difference = np.abs(wanted.astype(np.float64) - found.astype(np.float64))
            if wanted.shape != found.shape or not allowed(wanted, found):
                raise ParityError(
                    f"{path.name}: outputs of {tuple(case[0].shape)} differ by up to {difference.max()}"
                )
            largest = max(largest, float(difference.max()))
            differing, total = differing + int((difference > 0).sum()), total + difference.size
    shapes = [[list(value.shape) for value in case] for case in cases]
    return {"shapes": shapes, "max_abs_difference": largest, "differing": differing, "values": total}


def _store_weights_as_half(graph: onnx.GraphProto, *, all_half: bool) -> None:
    casts, kept = [], []
    for weight in graph.initializer:
        array = numpy_helper.to_array(weight)
        if weight.data_type != TensorProto.FLOAT or array.size < _LEAST_WEIGHTS_TO_HALVE:
            kept.append(weight)
            continue
        with np.errstate(over="ignore"):
            half = array.astype(np.float16)
        if not np.array_equal(half.astype(np.float32), array):
            if all_half:
                raise ParityError(f"weight {weight.name} does not fit float16; round_weights_to_half first")
            kept.append(weight)
            continue
        stored = f"{weight.name}.half"
        kept.append(numpy_helper.from_array(half, stored))
        casts.append(
            helper.make_node(
                "Cast", [stored], [weight.name], name=f"{weight.name}.cast", to=TensorProto.FLOAT
            )
        )
    nodes = [*casts, *graph.node]
    del graph.initializer[:]
    del graph.node[:]
    graph.initializer.extend(kept)
    graph.node.extend(nodes)


def forget_source_paths(graph: onnx.GraphProto) -> None:
    """Drops the exporter's stack traces, which name files of the exporting machine."""
    for node in graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for value in (*graph.input, *graph.output, *graph.value_info):
        del value.metadata_props[:]
    del graph.metadata_props[:]


def describe(value: onnx.ValueInfoProto) -> dict[str, Any]:
    tensor = value.type.tensor_type
    axes = [axis.dim_param or axis.dim_value for axis in tensor.shape.dim]
    return {"dtype": TensorProto.DataType.Name(tensor.elem_type).lower(), "axes": axes}
