"""Where a worker gets its models: built into the package, or from the object store, verified either way."""

from __future__ import annotations

import os
from pathlib import Path

from pipeline.core.artifact import (
    BUILT_IN,
    MANIFEST,
    artifacts_under,
    built_in_versions,
    digest_of,
    read_manifest,
)
from pipeline.core.artifact_store import fetch_artifact, find_published
from pipeline.core.errors import ArtifactNotFound
from pipeline.core.operation import LoadedArtifact
from pipeline.core.storage import ObjectStore

CODECS = "compression"  # every codec's artifact has a name that begins so


def load_artifact(
    name: str, digest: str, store: ObjectStore | None = None, cache_dir: Path | None = None
) -> LoadedArtifact:
    """The artifact of a name and digest: a built-in one (the current, or an older one), else the store's.

    Args:
        name: E.g. "compression".
        digest: sha256 hex of its manifest, as a job has pinned it.
        store: Where artifacts that are not built in are fetched from.
        cache_dir: Where fetched ones are kept; by default in the user's cache (XDG_CACHE_HOME).

    Raises:
        ArtifactNotFound: It is neither built in nor in the store.
        ArtifactCorrupt: Bytes do not match their digest.
    """
    directory = _built_in(name).get(digest)
    built_in = None if directory is None else load_directory(directory, digest)
    if built_in is not None and (store is None or built_in.is_whole):
        return built_in
    if store is None:
        raise ArtifactNotFound(
            f"artifact {name!r} {digest[:12]} is not built in, and there is no store to ask"
        )
    try:
        return load_directory(fetch_artifact(store, name, digest, cache_dir or _user_cache()), digest)
    except ArtifactNotFound:
        if built_in is None:
            raise
        return built_in


def find_codec_artifact(
    digest_start: str, store: ObjectStore | None = None, cache_dir: Path | None = None
) -> LoadedArtifact:
    """The codec model whose digest begins so, of any version: built in, fetched before, or in the store.

    Args:
        digest_start: Hex; a .tri file names its model by half a digest.
        store: Asked last; None where there is none.
        cache_dir: As for `load_artifact`.

    Raises:
        ArtifactNotFound: None of the three has it.
        ArtifactCorrupt: Bytes do not match their digest.
    """
    cache_dir = cache_dir or _user_cache()
    for root in (BUILT_IN, cache_dir):
        for directory, digest in artifacts_under(root, CODECS):
            if digest.startswith(digest_start):
                return load_directory(directory, digest)
    if store is None:
        raise ArtifactNotFound(f"model {digest_start} is not built in, and there is no store to ask")
    return load_directory(fetch_artifact(store, *find_published(store, CODECS, digest_start), cache_dir))


def load_directory(directory: Path, digest: str | None = None) -> LoadedArtifact:
    """An artifact from a local directory, verified.

    Raises:
        ArtifactCorrupt: A file does not match.
    """
    manifest = read_manifest(directory, digest)
    return LoadedArtifact(manifest, digest_of((directory / MANIFEST).read_bytes()), directory)


def load_built_in_by_prefix(name: str, prefix: bytes) -> LoadedArtifact | None:
    """The built-in artifact, current or older, whose digest starts so; None if there is none."""
    for digest, directory in _built_in(name).items():
        if bytes.fromhex(digest).startswith(prefix):
            return load_directory(directory, digest)
    return None


def _built_in(name: str) -> dict[str, Path]:
    try:
        return built_in_versions(name)
    except ArtifactNotFound:
        return {}


def _user_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "triptych" / "artifacts"
