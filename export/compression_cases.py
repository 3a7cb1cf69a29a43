"""Inputs on which torch and ONNX Runtime are compared, and how far they may differ."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from export.compression_graphs import GraphFile
from pipeline.models.blocks import STRIDE

SHAPES_PX = ((64, 64), (64, 128), (192, 64), (256, 384), (64, 1024))
_LEVELS = (0, 24, 49, 74, 99)

Case = tuple[Tensor, ...]


@torch.no_grad()
def cases(graphs: dict[str, GraphFile]) -> dict[str, list[Case]]:
    """Pictures of several shapes, and for each graph what those before it make of them."""
    torch.manual_seed(0)
    run = {role: graph.module for role, graph in graphs.items()}
    found: dict[str, list[Case]] = {role: [] for role in graphs}
    for i, (height, width) in enumerate(SHAPES_PX):
        count = 1 + i % 2
        planes, quality = _smooth_noise(count, height, width), torch.full((count,), _LEVELS[i])
        y = run["analysis"](planes)
        spread = functional.pixel_unshuffle(y, 2)
        z = run["hyper_analysis"](spread, quality)
        _, _, features = run["parameters"](z, quality)
        told = torch.randint(-31, 32, (count, 4 * y.shape[1], y.shape[2] // 2, y.shape[3] // 2)).float()
        inputs: dict[str, Case] = {
            "analysis": (planes,),
            "hyper_analysis": (spread, quality),
            "parameters": (z, quality),
            "context": (told, features),
            "synthesis": (y,),
            "reduction": (y,),
        }
        for role in graphs:
            found[role].append(inputs[role])
    return found


def _smooth_noise(count: int, height: int, width: int) -> Tensor:
    """Planes of noise with structure at several scales, as photographs have."""
    image = torch.full((count, 3, height, width), 0.5)
    for cell in (1, 4, 16):
        noise = torch.randn(count, 3, height // cell + 1, width // cell + 1) * 0.03 * cell**0.5
        image += functional.interpolate(noise, size=(height, width), mode="bilinear")
    return functional.pixel_unshuffle((image * 255).clamp(0, 255).to(torch.uint8), STRIDE)


def _close(expected: np.ndarray, found: np.ndarray) -> bool:
    """Float32 sums in another order."""
    return bool(np.allclose(expected, found, rtol=1e-3, atol=1e-4))


def _symbols_agree(expected: np.ndarray, found: np.ndarray) -> bool:
    """A float network may round a symbol the other way, by one and rarely."""
    difference = np.abs(expected.astype(np.int32) - found)
    return bool(difference.max() <= 1 and (difference > 0).mean() < 1e-3)


def _pixels_agree(expected: np.ndarray, found: np.ndarray) -> bool:
    """At most one grey level, in fewer than one of a thousand samples."""
    difference = np.abs(expected.astype(np.int32) - found)
    return bool(difference.max() <= 1 and (difference > 0).mean() < 1e-3)


def _equal(expected: np.ndarray, found: np.ndarray) -> bool:
    return np.array_equal(expected, found)


ALLOWED: dict[str, Callable[[np.ndarray, np.ndarray], bool]] = {
    "analysis": _close,
    "hyper_analysis": _symbols_agree,
    "parameters": _equal,
    "context": _equal,
    "synthesis": _pixels_agree,
    "reduction": _pixels_agree,
}
