"""Writes the manifest that names an artifact's files and facts."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from pipeline.core.artifact import MANIFEST, ArtifactFile, ArtifactManifest, digest_of


def write_manifest(directory: Path, *, files: dict[str, str], **facts: Any) -> str:
    """Writes `manifest.json` beside the files; returns the artifact's digest.

    Args:
        directory: Where the files lie.
        files: File names by role.
        facts: The other fields of `ArtifactManifest`.
    """
    described = {}
    for role, name in files.items():
        data = (directory / name).read_bytes()
        described[role] = ArtifactFile(
            name=name, size_bytes=len(data), sha256=hashlib.sha256(data).hexdigest()
        )
    manifest = ArtifactManifest(files=described, **facts)
    data = (manifest.model_dump_json(indent=1) + "\n").encode()
    (directory / MANIFEST).write_bytes(data)
    return digest_of(data)
