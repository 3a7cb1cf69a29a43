"""Checkpoints of compression networks, in two forms.

`*.pt` holds what a run needs to go on exactly where it was (live weights, optimiser, step); `*.safetensors`
holds the averaged weights only, and is what ships beside the artifact so that anybody can train on.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from pipeline.models.compression.model import CompressionModel
from pipeline.models.compression.shape import Shape

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


def save_weights(path: Path, model: Shaped, **facts: int | float) -> None:
    """Writes a `.safetensors` checkpoint; its header holds the network's size and facts (steps, seconds).

    Large tensors are rounded to float16: the graphs hold no more, and it halves the file.
    """
    header = {"shape": json.dumps(asdict(model.shape)), "facts": json.dumps(facts)}
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(
        {
            name: (value.half() if value.numel() > _LARGE else value).contiguous()
            for name, value in model.state_dict().items()
        },
        str(path),
        metadata=header,
    )


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Reads either form; both have "shape" (dict), "model" (state dict), "step" and "cpu_seconds"."""
    if path.suffix != ".safetensors":
        saved: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
        return saved
    with safe_open(str(path), framework="pt") as file:
        header = file.metadata()
        weights = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118 - not a dict
    return {"shape": json.loads(header["shape"]), "model": weights, **json.loads(header["facts"])}


def load_model(path: Path) -> CompressionModel:
    """The averaged model of a checkpoint, ready to evaluate."""
    saved = load_checkpoint(path)
    model = CompressionModel(Shape(**saved["shape"]))
    model.load_state_dict(saved["model"])
    return model.eval()
