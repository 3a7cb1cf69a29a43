"""A worker's handlers on a real store: files of models that this installation does not have."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from pipeline.core.artifact import MANIFEST, built_in_digest, built_in_directory, digest_of
from pipeline.core.artifact_store import find_published, publish_artifact
from pipeline.core.errors import ArtifactNotFound
from pipeline.core.operation import ItemInput, LoadedArtifact
from pipeline.core.s3 import S3ObjectStore, make_store
from pipeline.core.settings import Settings
from pipeline.imaging.decode import decode_image
from pipeline.inference.artifacts import load_directory
from pipeline.inference.tri_codec import TriCodec
from pipeline.operations import Registry
from pipeline.operations.compress import CompressParams
from pipeline.operations.decompress import DecompressParams, DecompressReceipt
from tests.support.codec import artifact, landscape
from workers.handlers import Handlers
from workers.retry import Fate, fate_of

PIXELS = landscape(70, 90)


@pytest.fixture
def store(settings: Settings) -> S3ObjectStore:
    return make_store(settings)


@pytest.fixture
def older(tmp_path: Path) -> LoadedArtifact:
    """A model with another digest than the built-in one."""
    target = tmp_path / "older"
    shutil.copytree(built_in_directory("compression"), target)
    manifest = artifact().manifest
    changed = manifest.model_copy(update={"metrics": {**manifest.metrics, "older": 1.0}})
    (target / MANIFEST).write_text(changed.model_dump_json())
    return load_directory(target, digest_of((target / MANIFEST).read_bytes()))


@pytest.fixture
def handlers(settings: Settings, store: S3ObjectStore, tmp_path: Path) -> Handlers:
    cached = settings.model_copy(update={"artifact_cache": tmp_path / "cache"})
    return Handlers(cached, store, Registry())


def test_any_published_model_is_decoded(
    store: S3ObjectStore, handlers: Handlers, older: LoadedArtifact
) -> None:
    """Its artifact is found in the store by what the file says, though the job has pinned another."""
    file = TriCodec.from_artifact(older).encode(PIXELS, 70)
    registry, pinned = Registry(), {"compression": built_in_digest("compression")}
    item = ItemInput(file.to_bytes(), "old.tri", DecompressParams())
    decompress = handlers.get(registry.get("decompress"), pinned)
    with pytest.raises(ArtifactNotFound, match=older.digest[:32]) as unknown:
        decompress.run(item)
    assert fate_of(unknown.value) is Fate.FAIL
    publish_artifact(store, built_in_directory("compression"))
    publish_artifact(store, older.directory)
    assert find_published(store, "compression", older.digest[:32]) == ("compression", older.digest)
    output = decompress.run(item)
    assert isinstance(output.receipt, DecompressReceipt)
    assert output.receipt.model == older.digest
    expected = TriCodec.from_artifact(older).decode(file)
    assert np.array_equal(decode_image(output.data or b"", handlers._settings.limits).pixels, expected)
    again = handlers.get(registry.get("compress"), pinned)
    assert again.run(ItemInput(file.to_bytes(), "old.tri", CompressParams())).data is not None
