"""Weights out of a quantised TensorFlow Lite file: value = (stored - zero point) * scale."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import tflite
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline.models.description.yamnet import YamNet

_TYPES = {
    tflite.TensorType.INT8: np.int8,
    tflite.TensorType.UINT8: np.uint8,
    tflite.TensorType.INT32: np.int32,
}
_CONV, _DEPTHWISE, _DENSE = (
    tflite.BuiltinOperator.CONV_2D,
    tflite.BuiltinOperator.DEPTHWISE_CONV_2D,
    tflite.BuiltinOperator.FULLY_CONNECTED,
)

_IMAGENET_LABELS = Path("mobilenet_v2_quant") / "mobilenet_v2_1.0_224_quant.tflite"


def read_labels(path: Path) -> list[str]:
    """The class names that lie in the zip archive at the end of a model file, one a line."""
    with ZipFile(path) as archive:
        return archive.read(archive.namelist()[0]).decode().splitlines()


def class_labels(weights: Path) -> list[str]:
    """ImageNet's 1,000 classes, all names of each, from a model file that has them.

    Args:
        weights: The folder of published weights.

    Raises:
        ValueError: They do not begin with the background, as that file's do.
    """
    background, *labels = read_labels(weights / _IMAGENET_LABELS)
    if background != "background":
        raise ValueError("the first class name should be the background's")
    return labels


def load_yamnet(path: Path) -> YamNet:
    """YAMNet with the weights of a quantised file, as floats.

    Raises:
        ValueError: The file's layers are not YAMNet's.
    """
    network = YamNet()
    targets = [*network.layers, network.classifier]
    weights = [layer for layer in _layers(path) if layer[0].dtype != np.float32]
    if len(weights) != len(targets):
        raise ValueError(f"{path.name} has {len(weights)} quantised layers, not {len(targets)}")
    with torch.no_grad():
        for target, (stored, scales, bias, kind) in zip(targets, weights, strict=True):
            if not isinstance(target, nn.Conv2d | nn.Linear) or target.bias is None:
                raise TypeError(f"{type(target).__name__} has no weights to be set")
            _set(target.weight, _as_torch(stored, scales, kind))
            _set(target.bias, bias)
    return network.eval().requires_grad_(requires_grad=False)


def _layers(path: Path) -> list[tuple[NDArray[Any], NDArray[np.float32], NDArray[np.float32], int]]:
    """(stored weight, its scales, bias, operator) of each layer that has weights, in order of computation."""
    model = tflite.Model.GetRootAsModel(path.read_bytes(), 0)
    graph = model.Subgraphs(0)
    found = []
    for i in range(graph.OperatorsLength()):
        operator = graph.Operators(i)
        code = model.OperatorCodes(operator.OpcodeIndex())
        kind = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        if kind not in {_CONV, _DEPTHWISE, _DENSE}:
            continue
        weight, bias = graph.Tensors(operator.Inputs(1)), graph.Tensors(operator.Inputs(2))
        found.append((_stored(model, weight), _scales(weight), _stored(model, bias) * _scales(bias), kind))
    return found


def _stored(model: tflite.Model, tensor: tflite.Tensor) -> NDArray[Any]:
    data = model.Buffers(tensor.Buffer()).DataAsNumpy()
    shape = [tensor.Shape(i) for i in range(tensor.ShapeLength())]
    return np.asarray(data).view(_TYPES.get(tensor.Type(), np.float32)).reshape(shape)


def _scales(tensor: tflite.Tensor) -> NDArray[np.float32]:
    quantised = tensor.Quantization()
    if quantised is None or not quantised.ScaleLength():
        return np.ones(1, np.float32)
    if any(quantised.ZeroPoint(i) for i in range(quantised.ZeroPointLength())):
        raise ValueError("only symmetric weights are read here")
    return np.array([quantised.Scale(i) for i in range(quantised.ScaleLength())], np.float32)


def _as_torch(stored: NDArray[Any], scales: NDArray[np.float32], kind: int) -> NDArray[np.float32]:
    """TensorFlow's layout to torch's: output channels first, height and width last."""
    if kind == _DEPTHWISE:
        found: NDArray[Any] = np.moveaxis(stored * scales, 3, 0)
    elif kind == _CONV:
        found = (stored * scales[:, None, None, None]).transpose(0, 3, 1, 2)
    else:
        found = stored * scales[:, None]
    return found.astype(np.float32)


def _set(target: Tensor, value: NDArray[np.float32]) -> None:
    found = torch.from_numpy(np.ascontiguousarray(value, dtype=np.float32))
    if found.shape != target.shape:
        raise ValueError(f"a weight of shape {tuple(found.shape)} where {tuple(target.shape)} belongs")
    target.copy_(found)
