"""Loss networks with few channels and random weights, in the published files' form."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

_FULL = {2: (3, 6), 5: (6, 6), 9: (6, 8), 12: (8, 8), 16: (8, 10)}
_SMALL = {"11": 4, "12": 4, "21": 6, "22": 6, "31": 8, "32": 8, "33": 8, "34": 8, "41": 12}
_AUX = {"11": 6, "21": 8, "31": 10}


def write_loss_weights(directory: Path) -> Path:
    """Makes the folders `vgg19_normalised` and `vgg19_small16x`; returns the directory."""
    random = torch.Generator().manual_seed(0)
    full = _layer("0", 3, 3, 1, random)
    for index, (inputs, outputs) in _FULL.items():
        full |= _layer(str(index), inputs, outputs, 3, random)
    small, inputs = _layer("conv0", 3, 3, 1, random), 3
    for name, outputs in _SMALL.items():
        small |= _layer(f"conv{name}", inputs, outputs, 3, random)
        inputs = outputs
    for name, outputs in _AUX.items():
        small |= _layer(f"conv{name}_aux", _SMALL[name], outputs, 1, random)
    for folder in ("vgg19_normalised", "vgg19_small16x"):
        (directory / folder).mkdir(parents=True)
    torch.save(full, directory / "vgg19_normalised" / "vgg_normalised_conv3_1.pth")
    torch.save({"model": small, "epoch": 0}, directory / "vgg19_small16x" / "e4.pth")
    return directory


def _layer(name: str, inputs: int, outputs: int, kernel: int, random: torch.Generator) -> dict[str, Tensor]:
    weight = (
        torch.randn(outputs, inputs, kernel, kernel, generator=random) * (2 / (inputs * kernel**2)) ** 0.5
    )
    return {f"{name}.weight": weight, f"{name}.bias": torch.randn(outputs, generator=random) * 0.1}
