"""Artifacts: built in, published, fetched, verified."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pipeline.core import artifact
from pipeline.core.artifact import MANIFEST, built_in_digest, built_in_directory
from pipeline.core.artifact_store import fetch_artifact, publish_artifact
from pipeline.core.errors import ArtifactCorrupt, ArtifactNotFound
from pipeline.core.keys import artifact_prefix
from pipeline.core.memory import MemoryObjectStore
from pipeline.inference.artifacts import load_artifact, load_built_in_by_prefix, load_directory
from pipeline.inference.tri_codec import TriCodec
from tests.support.codec import codec, landscape

DIGEST = built_in_digest("compression")
PREFIX = artifact_prefix("compression", DIGEST)


@pytest.fixture
def store() -> MemoryObjectStore:
    return MemoryObjectStore()


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Path]:
    """A copy of the built-in artifact with another digest."""
    directory = tmp_path / "other"
    shutil.copytree(built_in_directory("compression"), directory)
    manifest = directory / MANIFEST
    manifest.write_bytes(manifest.read_bytes() + b"\n")
    return directory


def test_the_built_in_needs_no_store() -> None:
    """Its digest is enough."""
    loaded = load_artifact("compression", DIGEST)
    assert loaded.digest == DIGEST
    assert loaded.path("analysis").is_file()


def test_older_built_ins_are_found(monkeypatch: pytest.MonkeyPatch, other: Path, tmp_path: Path) -> None:
    """An artifact under `older/` loads by digest or its beginning; the current one stays current."""
    packages = tmp_path / "artifacts"
    shutil.copytree(built_in_directory("compression"), packages / "compression")
    shutil.copytree(other, packages / "compression" / "older" / "first")
    monkeypatch.setattr(artifact, "BUILT_IN", packages)
    old = artifact.digest_of((other / MANIFEST).read_bytes())
    versions = artifact.built_in_versions("compression")
    assert next(iter(versions)) == DIGEST
    assert versions[old].name == "first"
    assert built_in_digest("compression") == DIGEST
    assert load_artifact("compression", old).directory.name == "first"
    loaded = load_built_in_by_prefix("compression", bytes.fromhex(old)[:16])
    assert loaded is not None
    assert loaded.digest == old
    assert load_built_in_by_prefix("compression", bytes(16)) is None


def test_an_older_built_in_may_only_read(
    monkeypatch: pytest.MonkeyPatch, store: MemoryObjectStore, other: Path, tmp_path: Path
) -> None:
    """Without the graphs that only encode it decodes; to encode, it says why not, or the store has all."""
    packages = tmp_path / "artifacts"
    shutil.copytree(built_in_directory("compression"), packages / "compression")
    older = packages / "compression" / "older" / "first"
    shutil.copytree(other, older)
    for role in ("analysis", "hyper_analysis"):
        (older / f"{role}.onnx").unlink()
    monkeypatch.setattr(artifact, "BUILT_IN", packages)
    digest = artifact.digest_of((older / MANIFEST).read_bytes())
    pixels = landscape(40, 56)
    written = TriCodec.from_artifact(load_directory(other)).encode(pixels, 50)
    reader = TriCodec.from_artifact(load_artifact("compression", digest, store, tmp_path / "cache"))
    assert not reader.can_encode
    assert np.array_equal(reader.decode(written), codec().decode(codec().encode(pixels, 50)))
    with pytest.raises(ArtifactNotFound, match="reading only"):
        reader.encode(pixels, 50)
    publish_artifact(store, other)
    whole = load_artifact("compression", digest, store, tmp_path / "cache")
    assert TriCodec.from_artifact(whole).can_encode
    (older / "synthesis.onnx").write_bytes(b"damaged")
    with pytest.raises(ArtifactCorrupt):
        load_artifact("compression", digest)


def test_published_then_fetched(store: MemoryObjectStore, other: Path, tmp_path: Path) -> None:
    """Another artifact comes from the store, byte for byte, and once fetched needs the store no more."""
    digest = publish_artifact(store, other)
    loaded = load_artifact("compression", digest, store, tmp_path / "cache")
    assert loaded.digest == digest != DIGEST
    for role, file in loaded.manifest.files.items():
        assert loaded.path(role).read_bytes() == (other / file.name).read_bytes()
    offline = load_artifact("compression", digest, MemoryObjectStore(), tmp_path / "cache")
    assert offline.directory == loaded.directory


def test_publishing_twice_changes_nothing(store: MemoryObjectStore) -> None:
    """The second time puts nothing; only what the manifest names is there."""
    directory = built_in_directory("compression")
    assert publish_artifact(store, directory) == DIGEST
    before = [(info.key, info.etag, info.last_modified) for info in store.list("artifacts/")]
    assert publish_artifact(store, directory) == DIGEST
    assert [(info.key, info.etag, info.last_modified) for info in store.list("artifacts/")] == before
    named = load_artifact("compression", DIGEST).manifest.files.values()
    names = {MANIFEST, *(file.name for file in named)}
    assert {key.removeprefix(PREFIX) for key, _, _ in before} == names


def test_an_interrupted_publication_is_completed(store: MemoryObjectStore, tmp_path: Path) -> None:
    """Files without a manifest, one of them cut short, do not count as published."""
    store.put(PREFIX + "tables.npz", b"half")
    with pytest.raises(ArtifactNotFound):
        fetch_artifact(store, "compression", DIGEST, tmp_path)
    publish_artifact(store, built_in_directory("compression"))
    fetch_artifact(store, "compression", DIGEST, tmp_path)


def test_damaged_objects_are_refused(store: MemoryObjectStore, tmp_path: Path) -> None:
    """A byte changed in the store never reaches ONNX Runtime, and leaves nothing in the cache."""
    publish_artifact(store, built_in_directory("compression"))
    data = bytearray(store.get(PREFIX + "analysis.onnx"))
    data[1000] ^= 1
    store.put(PREFIX + "analysis.onnx", bytes(data))
    with pytest.raises(ArtifactCorrupt):
        fetch_artifact(store, "compression", DIGEST, tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_damaged_cache_is_fetched_anew(store: MemoryObjectStore, tmp_path: Path) -> None:
    """The cache is verified each time, too."""
    publish_artifact(store, built_in_directory("compression"))
    directory = fetch_artifact(store, "compression", DIGEST, tmp_path)
    (directory / "tables.npz").write_bytes(b"damaged")
    again = fetch_artifact(store, "compression", DIGEST, tmp_path)
    expected = (built_in_directory("compression") / "tables.npz").read_bytes()
    assert hashlib.sha256((again / "tables.npz").read_bytes()).digest() == hashlib.sha256(expected).digest()


def test_unknown_artifacts_are_named(store: MemoryObjectStore, tmp_path: Path) -> None:
    """No store, or a store without it."""
    with pytest.raises(ArtifactNotFound, match="no store"):
        load_artifact("compression", "0" * 64)
    with pytest.raises(ArtifactNotFound, match="no artifact"):
        load_artifact("compression", "0" * 64, store, tmp_path)
    with pytest.raises(ArtifactNotFound):
        load_artifact("unheard-of", "0" * 64, store, tmp_path)


def test_a_changed_directory_is_not_published(store: MemoryObjectStore, other: Path) -> None:
    """What does not match its manifest stays here."""
    (other / "tables.npz").write_bytes(b"changed")
    with pytest.raises(ArtifactCorrupt):
        publish_artifact(store, other)
    assert not list(store.list("artifacts/"))
