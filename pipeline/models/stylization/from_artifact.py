"""Weights of an exported artifact, to train on from: its graphs hold what a checkpoint would."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipeline.core.artifact import read_manifest
from pipeline.models.checkpoint import load_checkpoint
from pipeline.models.graph_weights import weights_of

_PREFIXES = {"content": "content_", "style": "style_", "paint": ""}  # what a graph calls plain "encoder."
_NETWORKS = ("content_encoder.", "style_encoder.", "decoder.")


def load_run(path: Path) -> dict[str, Any]:
    """A checkpoint's file, or what an artifact's directory holds of one."""
    return read_artifact(path) if path.is_dir() else load_checkpoint(path)


def read_artifact(directory: Path) -> dict[str, Any]:
    """Reads the weights in the form that `pipeline.models.checkpoint.load_checkpoint` has.

    Args:
        directory: Of a stylization artifact.

    Returns:
        "shape" (dict), "model" (state dict, float32 of the stored float16), "step", "cpu_seconds".

    Raises:
        ArtifactCorrupt: A file does not match the manifest.
    """
    manifest = read_manifest(directory)
    weights = {
        name: value
        for role, prefix in _PREFIXES.items()
        for name, value in weights_of(directory / manifest.files[role].name, prefix).items()
        if name.startswith(_NETWORKS)
    }
    config = manifest.config
    return {
        "shape": config["shape"],
        "model": weights,
        "step": config["training_steps"],
        "cpu_seconds": 3600 * config["training_cpu_hours"],
    }
