"""The three graphs of stylization as ONNX files, and the inputs on which they are compared with torch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.export import Dim
from torch.nn import functional as F

from export.graph import check_parity, export_graph
from pipeline.models.stylization.graphs import ContentGraph, PaintGraph, StyleGraph
from pipeline.models.stylization.model import StylizationModel
from pipeline.models.stylization.shape import STRIDE_PX
from pipeline.models.stylization.style import statistics

ROLES = ("content", "style", "paint")
_N, _K, _H, _W = Dim("n"), Dim("k"), Dim("h"), Dim("w")
_PIXELS = {0: _N, 1: STRIDE_PX * _H, 2: STRIDE_PX * _W}
_SIZES_PX = ((64, 72), (32, 32), (136, 88), (256, 384))


Range = tuple[Tensor, Tensor]
_RARE = 0.005
_LARGEST_PX = 512


@dataclass(frozen=True)
class GraphFile:
    """A graph: its module, names and dynamic axes of its inputs, its outputs' axes by name."""

    module: nn.Module
    inputs: dict[str, dict[int, Any]]
    outputs: dict[str, tuple[str | int, ...]]


def graph_files(model: StylizationModel, known: Range | None = None) -> dict[str, GraphFile]:
    """All graphs of a model in evaluation mode, by role; `known` as `known_range` gives it."""
    channels, size = model.shape.channels, model.shape.style_size
    rows, one = {0: _N}, {0: _N, 1: _K}
    paint = {
        "content_feat": {0: _N, 2: 2 * _H, 3: 2 * _W},
        "mean": rows,
        "spread": rows,
        "style_feat": one,
        "style_weight": one,
        "alpha": rows,
        "beta": rows,
    }
    return {
        "content": GraphFile(
            ContentGraph(model.content_encoder).eval(),
            {"pixels": _PIXELS},
            {"content_feat": ("n", channels, "2*h", "2*w")},
        ),
        "style": GraphFile(
            StyleGraph(model.style_encoder, known).eval(), {"pixels": _PIXELS}, {"style_feat": ("n", size)}
        ),
        "paint": GraphFile(PaintGraph(model.decoder).eval(), paint, {"pixels": ("n", "8*h", "8*w", 3)}),
    }


def cases(model: StylizationModel) -> dict[str, list[tuple[Tensor, ...]]]:
    """Inputs of each graph: pictures of several sizes, and what the encoders make of them."""
    random = torch.Generator().manual_seed(0)
    found: dict[str, list[tuple[Tensor, ...]]] = {role: [] for role in ROLES}
    for i, (height, width) in enumerate(_SIZES_PX):
        pixels = _soft_noise(2 - i // 3, height, width, random)
        alpha = torch.rand(len(pixels), 1, generator=random)
        x = pixels.permute(0, 3, 1, 2).float() / 255
        with torch.no_grad():
            h1 = model.content_encoder(x)
            style = torch.stack([model.style_encoder(x), model.style_encoder(x.flip(0, 1))], dim=1)
        weight = torch.tensor([[0.75, 0.25]]).repeat(len(pixels), 1)
        found["content"].append((pixels,))
        found["style"].append((pixels,))
        found["paint"].append((h1, *statistics(h1), style, weight, alpha, 1 - alpha))
    return found


@torch.no_grad()
def known_range(model: StylizationModel, paintings: Sequence[np.ndarray]) -> Range:
    """Between which numbers all but one in a hundred of the style vectors of paintings lie, place by place.

    Args:
        model: Whose encoder is asked.
        paintings: uint8 (H, W, 3), those of training; each is looked at as it is and twice as large.

    Returns:
        (S,) each, numbers that float16 holds.
    """
    found = []
    for painting in paintings:
        x = torch.from_numpy(painting[:_LARGEST_PX, :_LARGEST_PX]).permute(2, 0, 1)[None].float() / 255
        for scale in (1, 2):
            sides = [max(32, scale * side // 8 * 8) for side in x.shape[2:]]
            scaled = F.interpolate(x, size=sides, mode="bicubic", antialias=True)
            found.append(model.style_encoder(scaled.clamp(0, 1)))
    every = torch.cat(found)
    least, largest = (torch.quantile(every, part, dim=0).half().float() for part in (_RARE, 1 - _RARE))
    return least, largest


def export_graphs(
    model: StylizationModel, out: Path, known: Range | None = None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Writes content.onnx, style.onnx and paint.onnx; returns what the manifest says of graphs and parity.

    Raises:
        ParityError: ONNX Runtime does not compute what torch does.
    """
    examples, graphs, parity = cases(model), {}, {}
    for role, file in graph_files(model, known).items():
        path = out / f"{role}.onnx"
        graphs[role] = export_graph(
            file.module,
            examples[role][0],
            path,
            inputs=tuple(file.inputs),
            outputs=file.outputs,
            dynamic_shapes=tuple(file.inputs.values()),
        )
        parity[role] = check_parity(file.module, path, examples[role], allowed=_agree)
    return graphs, parity


def _agree(expected: np.ndarray, found: np.ndarray) -> bool:
    """Features within a thousandth of the largest; pixels within a level, 1 of 200 samples at most."""
    difference = np.abs(expected.astype(np.float64) - found)
    if expected.dtype == np.uint8:
        return bool(difference.max() <= 1 and (difference > 0).mean() < 5e-3)
    return bool(difference.max() <= 1e-3 * np.abs(expected).max())


def _soft_noise(count: int, height: int, width: int, random: torch.Generator) -> Tensor:
    """uint8 (count, height, width, 3): noise with structure at several scales, as photographs have."""
    image = torch.full((count, 3, height, width), 0.5)
    for cell in _cells(min(height, width)):
        noise = torch.randn(count, 3, height // cell + 1, width // cell + 1, generator=random)
        image += F.interpolate(noise * 0.05 * cell**0.5, size=(height, width), mode="bilinear")
    pixels: Tensor = (image * 255).clamp(0, 255).to(torch.uint8)
    return pixels.permute(0, 2, 3, 1).contiguous()


def _cells(side_px: int) -> Iterable[int]:
    return (cell for cell in (1, 4, 16) if cell < side_px)
