"""Graphs that share their weights: each weight is stored once, rounded, and the graphs only name it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper
from torch import Tensor, nn

from export.graph import describe, forget_source_paths
from pipeline.core.errors import ParityError
from pipeline.inference.session import OrtSession
from pipeline.inference.stored_weights import SCALE, TRANSPOSED, from_stored, wanted

Floats = NDArray[np.float32]

_LEAST = 64  # smaller weights stay in the graph
FILE = "weights.npz"


@dataclass(frozen=True)
class Stored:
    """A weight as it is stored: float16, or int8 with a scale an output channel."""

    value: NDArray[Any]
    scale: Floats | None = None

    def floats(self) -> Floats:
        return from_stored(self.value, self.scale)


def in_half(weight: Tensor) -> Stored:
    """Rounded to float16."""
    return Stored(weight.detach().numpy().astype(np.float16))


def in_levels(weight: Tensor, levels: int) -> Stored:
    """Rounded to whole numbers in [-levels, levels] times a scale an output channel (the first axis).

    Fewer levels make smaller files after deflating: about 0.8 bits a weight for half of them.
    """
    array = weight.detach().numpy().astype(np.float32)
    largest = np.abs(array).reshape(len(array), -1).max(axis=1)
    scale = np.where(largest > 0, largest / levels, 1.0).astype(np.float32)
    shaped = scale.reshape(-1, *(1,) * (array.ndim - 1))
    return Stored(np.round(array / shaped).astype(np.int8), scale)


@torch.no_grad()
def store(module: nn.Module, prefix: str, choose: Callable[[str, Tensor], Stored]) -> dict[str, Stored]:
    """Rounds the parameters of a module in place: torch then computes what the artifact stores.

    Args:
        module: Frozen or trained.
        prefix: Of the stored names.
        choose: How a parameter (its name in the module, its value) is stored.
    """
    found = {}
    for name, parameter in module.named_parameters():
        found[prefix + name] = choose(name, parameter)
        parameter.copy_(torch.from_numpy(found[prefix + name].floats()))
    return found


def save(stored: Mapping[str, Stored], path: Path) -> None:
    """Writes the weights' file."""
    arrays: dict[str, NDArray[Any]] = {}
    for name, weight in stored.items():
        arrays[name] = weight.value
        if weight.scale is not None:
            arrays[name + SCALE] = weight.scale
    np.savez_compressed(path, **arrays)  # type: ignore[arg-type] # numpy's stub takes the names for its options


def export_shared(
    module: nn.Module,
    example: tuple[Tensor, ...],
    path: Path,
    weights: Mapping[str, Floats],
    *,
    inputs: Mapping[str, dict[int, Any]],
    outputs: Mapping[str, Sequence[str | int]],
) -> dict[str, Any]:
    """Writes a graph that names its weights; returns what the manifest says of it.

    Args:
        module: In evaluation mode, its weights as stored.
        example: Inputs; sizes of dynamic axes are only examples, and differ from each other and from 0 and 1.
        path: The .onnx file.
        weights: All stored weights, as floats.
        inputs: Names of the inputs and their dynamic axes.
        outputs: Names of the outputs and of their axes.

    Raises:
        ParityError: The graph holds a weight that is not stored.
    """
    program = torch.onnx.export(
        module,
        example,
        dynamo=True,
        input_names=list(inputs),
        output_names=list(outputs),
        dynamic_shapes=tuple(inputs.values()),
        external_data=False,
        verbose=False,
    )
    if program is None:
        raise ParityError(f"the exporter gave no program for {path.name}")
    model = program.model_proto
    names = _name_weights(model.graph, weights, path.name)
    forget_source_paths(model.graph)
    for value, axes in zip(model.graph.output, outputs.values(), strict=True):
        for axis, name in zip(value.type.tensor_type.shape.dim, axes, strict=True):
            if isinstance(name, str):
                axis.dim_param = name
    path.write_bytes(model.SerializeToString())
    return {
        "opset": model.opset_import[0].version,
        "inputs": {value.name: describe(value) for value in model.graph.input},
        "outputs": {value.name: describe(value) for value in model.graph.output},
        "weights": names,
    }


def check_shared_parity(
    module: nn.Module,
    path: Path,
    names: Sequence[str],
    weights: dict[str, Floats],
    cases: Sequence[tuple[Tensor, ...]],
) -> dict[str, Any]:
    """Runs torch and ONNX Runtime on the same inputs of several shapes; returns what the manifest says.

    Raises:
        ParityError: They differ by more than a thousandth of the largest value.
    """
    session = OrtSession(path, weights=wanted(weights, names))
    inputs = session.inputs
    largest = 0.0
    for case in cases:
        with torch.no_grad():
            results = module(*case)
        expected = [value.numpy() for value in (results if isinstance(results, tuple) else (results,))]
        found = session.run({name: value.numpy() for name, value in zip(inputs, case, strict=True)})
        for wanted_array, array in zip(expected, found, strict=True):
            same = wanted_array.shape == array.shape
            difference = float(np.abs(wanted_array - array).max(initial=0)) if same else float("inf")
            allowed = 1e-3 * max(1.0, float(np.abs(wanted_array).max(initial=0)))
            if not difference <= allowed:  # also where it is no number
                raise ParityError(f"{path.name}: outputs of {array.shape} differ by up to {difference}")
            largest = max(largest, difference)
    shapes = [[list(value.shape) for value in case] for case in cases]
    return {"shapes": shapes, "max_abs_difference": largest}


def _name_weights(graph: onnx.GraphProto, weights: Mapping[str, Floats], file: str) -> list[str]:
    """Replaces every larger float weight of a graph by its name; returns the names."""
    known = {}
    for name, array in weights.items():
        known[_content(array)] = name
        if array.ndim == 2:
            known.setdefault(_content(np.ascontiguousarray(array.T)), name + TRANSPOSED)
    names: dict[str, str] = {}
    kept = []
    for weight in graph.initializer:
        array = numpy_helper.to_array(weight)
        if weight.data_type != TensorProto.FLOAT or array.size < _LEAST:
            kept.append(weight)
            continue
        if (name := known.get(_content(array), "")) == "":
            raise ParityError(
                f"{file} holds a weight of shape {array.shape}, {weight.name}, that is not stored"
            )
        names[weight.name] = name
        if name not in {other.name for other in kept}:
            kept.append(_reference(name, array.shape))
    for node in graph.node:
        for i, name in enumerate(node.input):
            node.input[i] = names.get(name, name)
    del graph.initializer[:]
    graph.initializer.extend(kept)
    return [*dict.fromkeys(names.values())]


def _content(array: Floats) -> tuple[tuple[int, ...], str]:
    return array.shape, hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def _reference(name: str, shape: tuple[int, ...]) -> TensorProto:
    """A weight that the graph does not hold; whoever loads the graph gives it."""
    weight = TensorProto(
        name=name, data_type=TensorProto.FLOAT, dims=shape, data_location=TensorProto.EXTERNAL
    )
    facts = {"location": FILE, "offset": "0", "length": str(4 * int(np.prod(shape)))}
    for key, value in facts.items():
        entry = weight.external_data.add()
        entry.key, entry.value = key, value
    return weight
