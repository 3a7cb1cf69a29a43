"""A judge that no training looked through: MobileNetV2 (ImageNet) at three depths.

Content is the squared error at the deepest of the three, style that of means and deviations at each; every
number is divided by what copying costs (the style against the content), so that 1 means "no better than".
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from tests.benchmarks.style.tflite import ADD, DEPTHWISE, Layer, read_layers

STRIDES = (4, 8, 16)
Reference = tuple[list[Tensor], list[Tensor]]  # of a content, of a style


@dataclass(frozen=True)
class IndependentMarks:
    """content; style at strides 4, 8 and 16. 0 is best."""

    content: float
    style: tuple[float, float, float]


class MobileNet:
    """Features after the last sum of blocks at each of STRIDES."""

    def __init__(self, path: Path) -> None:
        self._layers = [_Runnable(layer) for layer in read_layers(path)]

    @torch.no_grad()
    def features(self, x: Tensor) -> list[Tensor]:
        """x: RGB in [0, 1], (1, 3, H, W), sides multiples of 32."""
        first = self._layers[0].layer
        values = {first.inputs[0]: x * 2 - 1}
        found: dict[int, Tensor] = {}
        for runnable in self._layers:
            layer = runnable.layer
            out = runnable(*(values[i] for i in layer.inputs))
            values[layer.output] = out
            stride = x.shape[3] // out.shape[3]
            if stride > STRIDES[-1]:
                break
            if layer.code == ADD:
                found[stride] = out
        return [found[stride] for stride in STRIDES]

    def reference(self, content: Tensor, style: Tensor) -> Reference:
        """Features of both, float (1, 3, H, W) in [0, 1]."""
        return self.features(content), self.features(style)

    def judge(self, found: Tensor, reference: Reference) -> IndependentMarks:
        """A result of the same size, around [0, 1]."""
        ours, (kept, wanted) = self.features(found.clamp(0, 1)), reference
        styles = [
            _apart(_statistics(a), _statistics(s)) / _apart(_statistics(c), _statistics(s))
            for a, c, s in zip(ours, kept, wanted, strict=True)
        ]
        content_part = _apart(ours[-1], kept[-1]) / _apart(wanted[-1], kept[-1])
        return IndependentMarks(content_part, (styles[0], styles[1], styles[2]))


class _Runnable:
    def __init__(self, layer: Layer) -> None:
        self.layer = layer
        self.groups = 1
        if layer.weight is None or layer.bias is None:
            return
        depthwise = layer.code == DEPTHWISE
        order = (3, 0, 1, 2) if depthwise else (0, 3, 1, 2)
        self.weight = torch.from_numpy(np.ascontiguousarray(layer.weight.transpose(order)))
        self.bias = torch.from_numpy(layer.bias)
        self.groups = len(self.weight) if depthwise else 1

    def __call__(self, *inputs: Tensor) -> Tensor:
        if self.layer.code == ADD:
            return inputs[0] + inputs[1]
        stride, kernel = self.layer.stride, self.weight.shape[2]
        x = inputs[0]
        if kernel > 1:  # TensorFlow's "same": what an even size lacks is added at the far side
            before = (kernel - stride) // 2
            after = kernel - stride - before
            x = F.pad(x, (before, after, before, after))
        out = F.conv2d(x, self.weight, self.bias, stride, groups=self.groups)
        return out.clamp(0, 6) if self.layer.relu6 else out


def _statistics(x: Tensor) -> Tensor:
    return torch.cat([x.mean(dim=(2, 3)), x.std(dim=(2, 3))])


def _apart(a: Tensor, b: Tensor) -> float:
    return float((a - b).square().mean())
