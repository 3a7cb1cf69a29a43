"""Checkpoints of the describing model: files as everywhere, and the artifact itself.

The artifact holds the averaged weights as whole numbers and a scale a channel: training goes on from them
within a few steps, so the repository keeps no second copy.
"""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import torch

from pipeline.core.artifact import read_manifest
from pipeline.inference.stored_weights import read_weights
from pipeline.models.checkpoint import load_checkpoint
from pipeline.models.description.shape import Shape

_FROZEN = ("image_encoder.", "audio_encoder.")  # published weights, never trained


def load_description(path: Path) -> dict[str, Any]:
    """Reads a checkpoint (`.pt`, `.safetensors`) or an artifact's directory.

    Returns:
        "shape" (dict), "model" (state dict, float32), "step" and "cpu_seconds".

    Raises:
        ArtifactCorrupt: A file of the artifact does not match its digest.
    """
    if not path.is_dir():
        return load_checkpoint(path)
    manifest = read_manifest(path)
    config, stored = manifest.config, read_weights(path / manifest.files["weights"].name)
    return {
        "shape": {field.name: config[field.name] for field in fields(Shape)},
        "model": {n: torch.from_numpy(array) for n, array in stored.items() if not n.startswith(_FROZEN)},
        "step": config["training_steps"],
        "cpu_seconds": 3600 * config["training_cpu_hours"],
    }


def tables_of(path: Path) -> Path:
    """The directory with the tokenizer and the names that belong to a checkpoint or an artifact."""
    return path if path.is_dir() else path.parent
