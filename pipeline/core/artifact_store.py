"""Artifacts in the object store: `artifacts/<name>/<digest>/<file>`, every byte verified when fetched."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from pipeline.core.artifact import (
    MANIFEST,
    ArtifactManifest,
    built_in_manifest,
    digest_of,
    read_manifest,
)
from pipeline.core.errors import ArtifactCorrupt, ArtifactNotFound, ObjectExists, ObjectNotFound
from pipeline.core.keys import ARTIFACTS, artifact_prefix
from pipeline.core.storage import ObjectStore


def publish_artifact(store: ObjectStore, directory: Path) -> str:
    """Puts an artifact's files under its digest, the manifest last. Repeating it puts nothing.

    Args:
        store: Where to.
        directory: Holds `manifest.json` and the files that it names; they are verified first.

    Returns:
        The digest.

    Raises:
        ArtifactCorrupt: A file does not match the manifest.
    """
    manifest, manifest_bytes = read_manifest(directory), (directory / MANIFEST).read_bytes()
    digest = digest_of(manifest_bytes)
    prefix = artifact_prefix(manifest.name, digest)
    present = {info.key: info.size_bytes for info in store.list(prefix)}
    if present.get(prefix + MANIFEST) == len(manifest_bytes):
        return digest  # put last, so the others are there
    for file in manifest.files.values():
        if present.get(prefix + file.name) != file.size_bytes:
            _put_once(store, prefix + file.name, (directory / file.name).read_bytes())
    _put_once(store, prefix + MANIFEST, manifest_bytes)
    return digest


def fetch_artifact(store: ObjectStore, name: str, digest: str, cache_dir: Path) -> Path:
    """The directory of an artifact in a local cache, fetched and verified unless it is there already.

    Args:
        store: Where from.
        name: The artifact's name.
        digest: sha256 hex of its manifest.
        cache_dir: Holds `<name>/<digest>/` for each artifact; processes may share it.

    Raises:
        ArtifactNotFound: The store has none of that name and digest.
        ArtifactCorrupt: Bytes do not match their digest.
    """
    directory = cache_dir / name / digest
    if (directory / MANIFEST).is_file():
        try:
            read_manifest(directory, digest)
        except (ArtifactCorrupt, OSError):
            shutil.rmtree(directory)  # a damaged cache is fetched anew
        else:
            return directory
    directory.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=".part-", dir=directory.parent))
    try:
        _fetch_into(store, artifact_prefix(name, digest), digest, part)
        _move(part, directory)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return directory


def find_published(store: ObjectStore, names: str, digest_start: str) -> tuple[str, str]:
    """Name and digest of the published artifact whose name and whose digest begin so.

    Raises:
        ArtifactNotFound: The store has none.
    """
    for info in store.list(ARTIFACTS + names):
        name, digest, file = info.key.removeprefix(ARTIFACTS).split("/", 2)
        if file == MANIFEST and digest.startswith(digest_start):
            return name, digest
    raise ArtifactNotFound(
        f"the object store has no artifact {names}* whose digest begins with {digest_start}"
    )


def newest_published(store: ObjectStore, name: str) -> str:
    """Digest of the artifact of a name that was published last.

    Raises:
        ArtifactNotFound: The store has none of that name.
    """
    manifests = [info for info in store.list(f"{ARTIFACTS}{name}/") if info.key.endswith(f"/{MANIFEST}")]
    if not manifests:
        raise ArtifactNotFound(f"there is no artifact {name!r}, neither built in nor in the object store")
    newest = max(manifests, key=lambda info: (info.last_modified, info.key))
    return newest.key.removeprefix(ARTIFACTS).split("/")[1]


def find_manifest(store: ObjectStore, name: str, digest: str) -> ArtifactManifest:
    """An artifact's manifest, of a built-in one or of the store's. Its files are not looked at.

    Raises:
        ArtifactNotFound: There is none of that name and digest.
        ArtifactCorrupt: What stands in the store is another one.
    """
    try:
        return built_in_manifest(name, digest)
    except ArtifactNotFound:
        pass
    try:
        found = store.get(artifact_prefix(name, digest) + MANIFEST)
    except ObjectNotFound as error:
        raise ArtifactNotFound(f"no artifact {name!r} {digest[:12]}") from error
    if digest_of(found) != digest:
        raise ArtifactCorrupt(f"the manifest of {name!r} is not the one that its key names")
    return ArtifactManifest.model_validate_json(found)


def _fetch_into(store: ObjectStore, prefix: str, digest: str, directory: Path) -> None:
    try:
        manifest_bytes = store.get(prefix + MANIFEST)
        if digest_of(manifest_bytes) != digest:
            raise ArtifactCorrupt(f"the manifest under {prefix} is not the one that its key names")
        manifest = ArtifactManifest.model_validate_json(manifest_bytes)
        for role, file in manifest.files.items():
            data = store.get(prefix + file.name, max_bytes=file.size_bytes)
            if hashlib.sha256(data).hexdigest() != file.sha256:
                raise ArtifactCorrupt(f"{role} under {prefix} does not match its digest")
            (directory / file.name).write_bytes(data)
    except ObjectNotFound as error:
        raise ArtifactNotFound(f"the object store has no artifact under {prefix}") from error
    (directory / MANIFEST).write_bytes(manifest_bytes)


def _move(part: Path, directory: Path) -> None:
    """Moves a whole directory into place; another process that was faster has put the same bytes there."""
    try:
        os.replace(part, directory)
    except OSError:
        if not (directory / MANIFEST).is_file():
            raise


def _put_once(store: ObjectStore, key: str, data: bytes) -> None:
    try:
        store.put(key, data, if_absent=True)
    except ObjectExists:
        # Of the right size: another publisher's, the same bytes. Otherwise: damaged, replaced.
        if store.stat(key).size_bytes != len(data):
            store.put(key, data)
