"""The networks that the style and content losses look through: VGG-19 and a compressed copy of it.

    full    VGG-19, normalised, up to relu3_1 (Simonyan and Zisserman 2015; Huang and Belongie 2017)
    small   VGG-19 compressed 16 times, up to relu5_1 (Wang et al., CVPR 2020), with a 1x1 convolution a layer
            that maps its few channels to VGG's

Both take RGB in [0, 1], reflect at borders and pool by maxima. They train and judge; they are never exported.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# Names as in VGG-19: block, then convolution in the block.
_NAMES = ("11", "12", "21", "22", "31", "32", "33", "34", "41", "42", "43", "44", "51")
_FULL_INDICES = {"0": 0, "11": 2, "12": 5, "21": 9, "22": 12, "31": 16}


class LossNetwork(nn.Module):
    """A chain of 3x3 convolutions with ReLU, and 2x2 maximum pooling before each block but the first.

    Args:
        weights: "conv0.weight", "conv0.bias", "conv11.weight"... and perhaps "conv11_aux.weight"...
        last: The last layer to compute, e.g. "31".
        dtype: Of all layers but the first, which takes a large mean off and stays float32.
    """

    def __init__(self, weights: dict[str, Tensor], last: str, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype
        self.names = _NAMES[: _NAMES.index(last) + 1]
        self.layers = nn.ModuleDict({name: _conv(weights, f"conv{name}") for name in self.names[1:]})
        widened = [name for name in self.names if f"conv{name}_aux.weight" in weights]
        self.aux = nn.ModuleDict({name: _conv(weights, f"conv{name}_aux") for name in widened})
        self.requires_grad_(requires_grad=False).to(dtype=dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
        _fold(_conv(weights, "conv0"), first := _conv(weights, "conv11"))
        self.first = first.requires_grad_(requires_grad=False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(
        self, x: Tensor, wanted: tuple[str, ...], *, widen: tuple[str, ...] = ()
    ) -> dict[str, Tensor]:
        """Features after the ReLU.

        Args:
            x: RGB in [0, 1], (B, 3, H, W).
            wanted: Layers to return, e.g. ("11", "41").
            widen: Layers to map to VGG's channels (the small network only).
        """
        x = self.first(F.pad(x.float(), (1, 1, 1, 1), mode="reflect")).to(self.dtype)
        found = {}
        for name in self.names:
            if name != "11":
                x = F.max_pool2d(x, 2) if name.endswith("1") else x
                x = self.layers[name](F.pad(x, (1, 1, 1, 1), mode="reflect"))
            x = F.relu(x)
            if name in wanted:
                found[name] = F.relu(self.aux[name](x)) if name in widen else x
            if len(found) == len(wanted):
                break
        return found


def _conv(weights: dict[str, Tensor], name: str) -> nn.Conv2d:
    weight, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
    conv = nn.Conv2d(weight.shape[1], weight.shape[0], weight.shape[2])
    conv.load_state_dict({"weight": weight, "bias": bias})
    return conv


@torch.no_grad()
def _fold(colours: nn.Conv2d, first: nn.Conv2d) -> None:
    """Makes a 1x1 convolution part of the one that follows it (the border is reflected: exact)."""
    matrix = colours.weight[:, :, 0, 0]
    first.bias += torch.einsum("oihw,i->o", first.weight, colours.bias)  # type: ignore[operator]
    first.weight.copy_(torch.einsum("oihw,ij->ojhw", first.weight, matrix))


def load_full(directory: Path, dtype: torch.dtype = torch.float32) -> LossNetwork:
    """VGG-19 up to relu3_1, from `vgg_normalised_conv3_1.pth`."""
    saved = _load(directory / "vgg_normalised_conv3_1.pth")
    kinds = ("weight", "bias")
    named = {
        f"conv{name}.{kind}": saved[f"{i}.{kind}"] for name, i in _FULL_INDICES.items() for kind in kinds
    }
    return LossNetwork(named, "31", dtype)


def load_small(directory: Path, last: str = "41", dtype: torch.dtype = torch.float32) -> LossNetwork:
    """The compressed VGG-19 up to relu4_1 (`e4.pth`) or relu5_1 (`e5.pth`)."""
    return LossNetwork(_load(directory / f"e{last[0]}.pth")["model"], last, dtype)


def _load(path: Path) -> dict[str, Any]:
    saved: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return saved
