"""Reads the convolutions of a quantised TensorFlow Lite file (FlatBuffers schema, version 3) as float."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import flatbuffers
import numpy as np
from flatbuffers import number_types
from flatbuffers.table import Table

_DTYPES = {0: np.float32, 2: np.int32, 3: np.uint8, 9: np.int8}
CONV, DEPTHWISE, ADD = 3, 4, 0
_RELU6 = 3


@dataclass(frozen=True)
class Layer:
    """One operator: its code, its inputs' and output's tensor numbers, weights if any.

    Attributes:
        weight: Float, (O, kh, kw, I), or (1, kh, kw, O) of a depthwise convolution.
        bias: Float, (O,).
        stride: Of both axes.
        relu6: Whether the output is clipped to [0, 6].
    """

    code: int
    inputs: tuple[int, ...]
    output: int
    weight: np.ndarray | None
    bias: np.ndarray | None
    stride: int
    relu6: bool


class _Reader:
    """Fields of FlatBuffers tables by their number in the schema."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.root = Table(data, flatbuffers.encode.Get(flatbuffers.packer.uoffset, data, 0))

    def tables(self, table: Table, field: int) -> Iterator[Table]:
        at = self._offset(table, field)
        for i in range(table.VectorLen(at) if at else 0):
            yield Table(self._data, table.Indirect(table.Vector(at) + 4 * i))

    def child(self, table: Table, field: int) -> Table | None:
        at = self._offset(table, field)
        return Table(self._data, table.Indirect(at + table.Pos)) if at else None

    def numbers(self, table: Table, field: int, flags: type) -> np.ndarray:
        at = self._offset(table, field)
        if not at:
            return np.zeros(0)
        found: np.ndarray = table.GetVectorAsNumpy(flags, at)
        return found

    def number(self, table: Table, field: int, flags: type) -> int:
        at = self._offset(table, field)
        return int(table.Get(flags, at + table.Pos)) if at else 0

    @staticmethod
    def _offset(table: Table, field: int) -> int:
        return int(table.Offset(4 + 2 * field))


def read_layers(path: Path) -> list[Layer]:
    """The convolutions, depthwise convolutions and sums of the first subgraph, in order."""
    reader = _Reader(path.read_bytes())
    codes = [_operator_code(reader, table) for table in reader.tables(reader.root, 1)]
    graph = next(reader.tables(reader.root, 2))
    tensors, buffers = list(reader.tables(graph, 0)), list(reader.tables(reader.root, 4))
    layers = []
    for operator in reader.tables(graph, 3):
        code = codes[reader.number(operator, 0, number_types.Uint32Flags)]
        inputs = tuple(int(i) for i in reader.numbers(operator, 1, number_types.Int32Flags))
        output = int(reader.numbers(operator, 2, number_types.Int32Flags)[0])
        if code in (CONV, DEPTHWISE, ADD):
            layers.append(_layer(reader, operator, code, (inputs, output), (tensors, buffers)))
    return layers


def _operator_code(reader: _Reader, table: Table) -> int:
    old = reader.number(table, 0, number_types.Int8Flags)
    return max(old, reader.number(table, 3, number_types.Int32Flags))


def _layer(
    reader: _Reader,
    operator: Table,
    code: int,
    ends: tuple[tuple[int, ...], int],
    stored: tuple[list[Table], list[Table]],
) -> Layer:
    options = reader.child(operator, 4)
    assert options is not None
    if code == ADD:
        return Layer(code, ends[0], ends[1], None, None, 1, relu6=False)
    weight, bias = (_dequantised(reader, stored[0][i], stored[1]) for i in ends[0][1:3])
    stride = reader.number(options, 1, number_types.Int32Flags)
    activation = reader.number(options, 3 if code == CONV else 4, number_types.Int8Flags)
    return Layer(code, ends[0][:1], ends[1], weight, bias, stride, relu6=activation == _RELU6)


def _dequantised(reader: _Reader, tensor: Table, buffers: list[Table]) -> np.ndarray:
    shape = reader.numbers(tensor, 0, number_types.Int32Flags)
    dtype = _DTYPES[reader.number(tensor, 1, number_types.Int8Flags)]
    buffer = buffers[reader.number(tensor, 2, number_types.Uint32Flags)]
    raw = reader.numbers(buffer, 0, number_types.Uint8Flags)
    values = np.frombuffer(raw.tobytes(), dtype).reshape(shape).astype(np.float32)
    quantisation = reader.child(tensor, 4)
    assert quantisation is not None
    scale = reader.numbers(quantisation, 2, number_types.Float32Flags)
    zero = reader.numbers(quantisation, 3, number_types.Int64Flags)
    offset, step = (
        float(array[0]) if array.size else default for array, default in ((zero, 0.0), (scale, 1.0))
    )
    return (values - np.float32(offset)) * np.float32(step)
