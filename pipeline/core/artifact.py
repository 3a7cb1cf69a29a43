"""Artifact manifests: what an exported model is made of, and the digest that names it.

An artifact is a directory of ONNX graphs and tables with a `manifest.json`. Its digest is the sha256 of
that file's bytes; as the manifest holds every file's sha256, one digest pins all of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from pipeline.core.errors import ArtifactCorrupt, ArtifactNotFound

BUILT_IN = Path(__file__).resolve().parent.parent / "artifacts"
MANIFEST = "manifest.json"
OLDER = "older"  # folder of a built-in artifact that holds its predecessors


class ArtifactFile(BaseModel):
    """One file of an artifact."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    size_bytes: int
    sha256: str


class Terms(BaseModel):
    """What a user must know before shipping results: licence, data sets, attributions."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    licence: str
    data_sets: tuple[str, ...] = ()
    attributions: tuple[str, ...] = ()
    note: str = ""


class ArtifactManifest(BaseModel):
    """Describes an exported model.

    Attributes:
        name: The artifact's name, e.g. "compression".
        version: Version of the artifact's own layout, for its reader.
        files: Files by role ("encoder", "decoder", "tables").
        graphs: For each ONNX role: opset, inputs and outputs with dtype and named axes.
        parity: For each ONNX role: largest absolute difference torch against ONNX Runtime, and shapes tried.
        metrics: Measured quality, with the data set's name in each key.
        config: What the reader needs to run it (channels, strides, quality steps).
        terms: Licence and data.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    version: int
    files: dict[str, ArtifactFile]
    graphs: dict[str, dict[str, Any]] = {}
    parity: dict[str, dict[str, Any]] = {}
    metrics: dict[str, float] = {}
    config: dict[str, Any] = {}
    terms: Terms


def digest_of(manifest_bytes: bytes) -> str:
    """sha256 hex of a manifest file's bytes: the artifact's address."""
    return hashlib.sha256(manifest_bytes).hexdigest()


def built_in_directory(name: str) -> Path:
    """Where the artifact that ships with this package lies.

    Raises:
        ArtifactNotFound: This package ships none of that name.
    """
    directory = BUILT_IN / name
    if not (directory / MANIFEST).is_file():
        raise ArtifactNotFound(f"no built-in artifact {name!r}")
    return directory


def built_in_digest(name: str) -> str:
    """Digest of the artifact that ships with this package (no weights are read)."""
    return digest_of((built_in_directory(name) / MANIFEST).read_bytes())


@lru_cache(maxsize=64)
def built_in_manifest(name: str, digest: str) -> ArtifactManifest:
    """The manifest of an artifact that ships with this package, current or older. No file is verified.

    Raises:
        ArtifactNotFound: This package ships none of that name and digest.
    """
    directory = built_in_versions(name).get(digest)
    if directory is None:
        raise ArtifactNotFound(f"artifact {name!r} {digest[:12]} is not built in")
    return ArtifactManifest.model_validate_json((directory / MANIFEST).read_bytes())


def built_in_versions(name: str) -> dict[str, Path]:
    """Every artifact of a name that ships with this package: digest to directory, the current one first.

    Older ones lie under `older/` of the current one's directory. What they have made stays readable; nothing
    new is made with them, so files that only making needs may have been left out.

    Raises:
        ArtifactNotFound: This package ships none of that name.
    """
    current = built_in_directory(name)
    older = sorted(path.parent for path in current.glob(f"{OLDER}/*/{MANIFEST}"))
    return {digest_of((directory / MANIFEST).read_bytes()): directory for directory in (current, *older)}


def artifacts_under(root: Path, names: str) -> Iterator[tuple[Path, str]]:
    """Directories of artifacts whose name begins so, with their digests; nothing is verified."""
    for manifest in sorted(root.glob(f"{names}*/**/{MANIFEST}")):
        yield manifest.parent, digest_of(manifest.read_bytes())


def read_manifest(directory: Path, digest: str | None = None) -> ArtifactManifest:
    """Reads a manifest and verifies it and every file that it names (of an older built-in: that is there).

    Args:
        directory: The artifact's directory.
        digest: The digest it must have, when one was pinned.

    Raises:
        ArtifactCorrupt: The manifest or a file does not match.
    """
    data = (directory / MANIFEST).read_bytes()
    if digest is not None and digest_of(data) != digest:
        raise ArtifactCorrupt(f"manifest in {directory.name} is not the pinned one ({digest[:12]})")
    manifest = ArtifactManifest.model_validate_json(data)
    for role, file in manifest.files.items():
        if directory.parent.name == OLDER and not (directory / file.name).exists():
            continue
        found = hashlib.sha256((directory / file.name).read_bytes()).hexdigest()
        if found != file.sha256:
            raise ArtifactCorrupt(f"artifact {manifest.name}: {role} ({file.name}) does not match its digest")
    return manifest
