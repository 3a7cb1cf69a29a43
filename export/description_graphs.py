"""The six graphs of description as ONNX files, and the inputs on which they are compared with torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim

from export.shared_weights import Floats, check_shared_parity, export_shared
from pipeline.models.description.efficientnet import CLASSES, SIDE_PX, EfficientNetLite1
from pipeline.models.description.graphs import (
    AttentionGraph,
    AudioGraph,
    ImageGraph,
    PrefixGraph,
    StepGraph,
    TextGraph,
)
from pipeline.models.description.model import IMAGE_TOKENS, DescriptionModel
from pipeline.models.description.yamnet import CLASSES as SOUND_CLASSES
from pipeline.models.description.yamnet import YamNet

_N, _K, _P, _T = Dim("n"), Dim("k"), Dim("p"), Dim("t")
_PATCHES = Dim("p", max=20)
_WORDS = Dim("t", max=70)


@dataclass(frozen=True)
class GraphFile:
    """A graph: its module, dynamic axes of its inputs by name, axes of its outputs by name, inputs to try."""

    module: nn.Module
    inputs: dict[str, dict[int, Any]]
    outputs: dict[str, tuple[str | int, ...]]
    cases: list[tuple[Tensor, ...]]


def graph_files(model: DescriptionModel, image: EfficientNetLite1, audio: YamNet) -> dict[str, GraphFile]:
    """All graphs of a model in evaluation mode, by role."""
    random = torch.Generator().manual_seed(0)
    shape = model.shape
    size = shape.width // shape.heads
    cache = (shape.layers, shape.heads)

    def normal(*sides: int) -> Tensor:
        return torch.randn(*sides, generator=random)

    def ids(*sides: int) -> Tensor:
        return torch.randint(1, shape.vocabulary, sides, generator=random)

    def step_case(n: int, k: int, p: int, t: int) -> tuple[Tensor, ...]:
        before, text = (n, *cache, p, size), (n, k, *cache, t, size)
        place = torch.full((n,), t)
        return ids(n, k), place, normal(*before), normal(*before), normal(*text), normal(*text)

    def text_case(n: int, t: int) -> tuple[Tensor, ...]:
        return ids(n, t), torch.randint(1, t, (n,), generator=random)

    def attention_case(n: int, t: int, p: int) -> tuple[Tensor, ...]:
        return ids(n, t), normal(n, *cache, p, size), normal(n, *cache, p, size)

    prefix_axes, text_axes = {0: _N, 3: _P}, {0: _N, 1: _K, 4: _T}
    kept = ("n", "layers", "heads", "p", size)
    longer = ("n", "k", "layers", "heads", "t+1", size)
    return {
        "image": GraphFile(
            ImageGraph(image, model),
            {"pixels": {0: _N}},
            {"image_tokens": ("n", IMAGE_TOKENS, shape.width), "classes": ("n", CLASSES)},
            [
                (torch.randint(0, 256, (n, SIDE_PX, SIDE_PX, 3), generator=random, dtype=torch.uint8),)
                for n in (2, 1)
            ],
        ),
        "audio": GraphFile(
            AudioGraph(audio, model),
            {"patches": {0: _PATCHES}},
            {"audio_tokens": (1, "p", shape.width), "classes": ("p", SOUND_CLASSES)},
            [(2 * normal(p, 96, 64) - 3,) for p in (9, 1, 20)],
        ),
        "prefix": GraphFile(
            PrefixGraph(model),
            {"tokens": {0: _N, 1: _P}},
            {
                "keys": kept,
                "values": kept,
                "search_embedding": ("n", shape.embedding),
                "tags": ("n", shape.tags),
            },
            [(normal(n, p, shape.width),) for n, p in ((2, 77), (1, 1), (3, 86))],
        ),
        "step": GraphFile(
            StepGraph(model),
            {
                "tokens": {0: _N, 1: _K},
                "place": {0: _N},
                "prefix_keys": prefix_axes,
                "prefix_values": prefix_axes,
                "text_keys": text_axes,
                "text_values": text_axes,
            },
            {"log_probabilities": ("n", "k", shape.vocabulary), "new_keys": longer, "new_values": longer},
            [step_case(2, 3, 77, 5), step_case(1, 1, 9, 0), step_case(4, 1, 86, 1), step_case(1, 5, 1, 30)],
        ),
        "text": GraphFile(
            TextGraph(model),
            {"tokens": {0: _N, 1: _WORDS}, "last": {0: _N}},
            {"search_embedding": ("n", shape.embedding)},
            [text_case(2, 9), text_case(1, 3), text_case(5, 40)],
        ),
        "attention": GraphFile(
            AttentionGraph(model),
            {"tokens": {0: _N, 1: _WORDS}, "prefix_keys": prefix_axes, "prefix_values": prefix_axes},
            {"attention": ("n", "layers", "t", "p")},
            [attention_case(2, 9, 77), attention_case(1, 3, 86)],
        ),
    }


def export_graphs(
    files: dict[str, GraphFile], weights: dict[str, Floats], out: Path
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Writes all graphs; returns what the manifest says of them and of their parity with torch.

    Raises:
        ParityError: ONNX Runtime does not compute what torch does.
    """
    graphs, parity = {}, {}
    for role, file in files.items():
        path = out / f"{role}.onnx"
        module = file.module.eval()
        graphs[role] = export_shared(
            module, file.cases[0], path, weights, inputs=file.inputs, outputs=file.outputs
        )
        parity[role] = check_shared_parity(module, path, graphs[role]["weights"], weights, file.cases)
    return graphs, parity
