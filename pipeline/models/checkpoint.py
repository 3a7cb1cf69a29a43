"""Checkpoints of networks, in two forms.

`*.pt` holds what a run needs to go on exactly where it was (live weights, optimiser, step); `*.safetensors`
holds the averaged weights only, less what the graphs beside it hold, and is what ships with an artifact so
that anybody can train on.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from pipeline.models.compression.model import CompressionModel
from pipeline.models.compression.shape import Shape
from pipeline.models.graph_weights import weights_of

_LARGE = 4096


class Shaped(Protocol):
    """A network that is built from a dataclass of sizes, `shape`."""

    @property
    def shape(self) -> Any: ...

    def state_dict(self) -> dict[str, Any]: ...


def save_run(path: Path, model: Shaped, **more: Any) -> None:
    """Writes a `.pt` checkpoint, atomically: a killed run leaves the last one.

    Args:
        path: Where to.
        model: The averaged weights.
        more: Tensors, numbers and dictionaries of them.
    """
    part = path.with_suffix(".part")
    torch.save({"shape": asdict(model.shape), "model": model.state_dict(), **more}, part)
    os.replace(part, path)


def save_weights(
    path: Path, model: Shaped, graphs: Mapping[str, str] = MappingProxyType({}), **facts: int | float
) -> None:
    """Writes a `.safetensors` checkpoint; its header holds the network's size and facts (steps, seconds).

    Large tensors are rounded to float16: the graphs hold no more, and it halves the file.

    Args:
        path: Where to.
        model: The averaged weights.
        graphs: Exported graphs beside it that hold weights already: file to the part's name in the network.
            Those are left out here.
        facts: For the header.
    """
    weights = model.state_dict()
    stored = _stored(path.parent, graphs)
    there = [name for name in weights if name in stored and _equal_in_half(stored[name], weights[name])]
    header = {"shape": asdict(model.shape), "facts": facts, "graphs": dict(graphs), "in_graphs": there}
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(
        {
            name: (value.half() if value.numel() > _LARGE else value).contiguous()
            for name, value in weights.items()
            if name not in there
        },
        str(path),
        metadata={name: json.dumps(value) for name, value in header.items()},
    )


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Reads either form; both have "shape" (dict), "model" (state dict), "step" and "cpu_seconds"."""
    if path.suffix != ".safetensors":
        saved: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
        return saved
    with safe_open(str(path), framework="pt") as file:
        header = {name: json.loads(value) for name, value in file.metadata().items()}
        weights = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118 - not a dict
    stored = _stored(path.parent, header.get("graphs", {}))
    weights |= {name: stored[name] for name in header.get("in_graphs", ())}
    return {"shape": header["shape"], "model": weights, **header["facts"]}


def load_model(path: Path) -> CompressionModel:
    """The averaged model of a checkpoint, ready to evaluate."""
    saved = load_checkpoint(path)
    model = CompressionModel(Shape(**saved["shape"]))
    model.load_state_dict(saved["model"])
    return model.eval()


def _stored(directory: Path, graphs: Mapping[str, str]) -> dict[str, torch.Tensor]:
    return {
        name: value
        for file, prefix in graphs.items()
        for name, value in weights_of(directory / file, prefix).items()
    }


def _equal_in_half(one: torch.Tensor, other: torch.Tensor) -> bool:
    return one.shape == other.shape and torch.equal(one.half(), other.half())
