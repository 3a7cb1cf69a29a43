"""Checkpoints of the describing model: `.pt` and `.safetensors` as everywhere, and a small `.npz`.

The small one holds the averaged weights as the artifact does (whole numbers and a scale a channel, deflated):
a third of what float16 takes. It is what the repository keeps: training goes on from it within a few steps.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline.inference.stored_weights import read_weights
from pipeline.models.checkpoint import load_checkpoint

FACTS = "facts"  # of an .npz: JSON with shape, step and cpu_seconds, as bytes


def load_description(path: Path) -> dict[str, Any]:
    """Reads any of the three: "shape" (dict), "model" (state dict), "step" and "cpu_seconds"."""
    if path.suffix != ".npz":
        return load_checkpoint(path)
    weights = read_weights(path)
    facts = json.loads(weights.pop(FACTS).astype(np.uint8).tobytes())
    return {"model": {name: torch.from_numpy(array) for name, array in weights.items()}, **facts}
