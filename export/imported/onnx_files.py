"""torch module to an ONNX file whose weights lie beside it, as models of any size need it."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.core.errors import ParityError

DATA = ".data"  # behind the graph's file name
_OPSET = 20
_SYMBOL = re.compile(r"s\d+")


@dataclass(frozen=True)
class Graph:
    """A module and how it is to be exported.

    Attributes:
        module: In evaluation mode.
        example: An input of each kind. Sizes of free axes are examples, each different, none of them 0 or 1:
            a tracer would take those for fixed.
        inputs: Their names.
        outputs: Names of the outputs.
        axes: The free axes of each input, by number; a name stands for one size everywhere.
    """

    module: nn.Module
    example: tuple[Tensor, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    axes: tuple[dict[int, str], ...]


def write_graph(graph: Graph, path: Path) -> dict[str, Any]:
    """Writes `path` and, for its weights, `path` + ".data"; returns what the manifest says of the graph.

    Raises:
        ParityError: The exporter cannot express the model.
    """
    try:
        with torch.no_grad(), _quiet():
            program = torch.onnx.export(
                graph.module,
                graph.example,
                dynamo=True,
                opset_version=_OPSET,
                input_names=list(graph.inputs),
                output_names=list(graph.outputs),
                dynamic_shapes=_dynamic_shapes(graph),
                verbose=False,
            )
    except (torch.onnx.errors.OnnxExporterError, RuntimeError, ValueError, TypeError) as error:
        raise ParityError(f"{path.stem}: the model cannot be exported: {_first_line(error)}") from error
    if program is None:
        raise ParityError(f"the exporter gave no program for {path.stem}")
    model = program.model
    for node in model.graph.all_nodes():  # stack traces name files of this machine
        node.metadata_props.clear()
        node.doc_string = None
    for value in (*model.graph.inputs, *model.graph.outputs, *model.graph.initializers.values()):
        value.metadata_props.clear()
    model.metadata_props.clear()
    model.graph.metadata_props.clear()
    program.save(str(path), external_data=True)
    names = _axis_names(graph, model.graph.inputs)
    return {
        "opset": model.opset_imports[""],
        "inputs": {str(value.name): _described(value, names) for value in model.graph.inputs},
        "outputs": {str(value.name): _described(value, names) for value in model.graph.outputs},
    }


def _dynamic_shapes(graph: Graph) -> tuple[Any, ...]:
    """As torch.export wants them: by position, with a tuple for what a module takes as *args."""
    names = graph.module.forward.__code__.co_varnames[1 : graph.module.forward.__code__.co_argcount]
    named = len(names)
    given: list[Any] = [_dims(axes) for axes in graph.axes[:named]]
    if len(graph.axes) > named:
        given.append(tuple(_dims(axes) for axes in graph.axes[named:]))
    return tuple(given)


def _dims(axes: Mapping[int, str]) -> dict[int, Any]:
    return dict.fromkeys(axes, torch.export.Dim.DYNAMIC)


def _axis_names(graph: Graph, inputs: Sequence[Any]) -> dict[str, str]:
    """Our names of the sizes that the exporter calls s13 and the like."""
    return {
        str(value.shape[place]): name
        for value, axes in zip(inputs, graph.axes, strict=True)
        for place, name in axes.items()
    }


def _described(value: Any, names: Mapping[str, str]) -> dict[str, Any]:
    def named(axis: Any) -> int | str:
        return axis if isinstance(axis, int) else _SYMBOL.sub(lambda found: names[found[0]], str(axis))

    axes = [named(axis) for axis in value.shape]
    return {"dtype": str(value.dtype).lower(), "axes": axes}


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


@contextmanager
def _quiet(names: Sequence[str] = ("torch.onnx", "onnxscript", "onnx_ir")) -> Iterator[None]:
    """The exporter warns of its own deprecations and of what it does not need."""
    loggers = [logging.getLogger(name) for name in names]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
