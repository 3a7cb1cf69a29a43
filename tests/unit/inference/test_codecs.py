"""Which codec decodes a file, and where its model comes from."""

from __future__ import annotations

import dataclasses
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest

from pipeline.codec.container import TriFile
from pipeline.core.artifact import MANIFEST, built_in_digest, built_in_directory, digest_of
from pipeline.core.artifact_store import publish_artifact
from pipeline.core.errors import ArtifactNotFound, CorruptBitstream, ImageTooLarge, InputTooLarge
from pipeline.core.memory import MemoryObjectStore
from pipeline.core.operation import HandlerContext, Limits, LoadedArtifact
from pipeline.inference import codecs as codecs_module
from pipeline.inference.artifacts import find_codec_artifact, load_directory
from pipeline.inference.codecs import KEPT, Codecs
from pipeline.inference.images import Images, decoded, is_tri, parse_within
from pipeline.inference.tri_codec import TriCodec
from tests.support.codec import artifact, landscape

PIXELS = landscape(40, 50)


def another_model(directory: Path, number: int = 0) -> LoadedArtifact:
    """The built-in codec under another digest: its manifest has a metric more."""
    target = directory / "compression-older" / str(number)
    shutil.copytree(built_in_directory("compression"), target)
    manifest = artifact().manifest
    changed = manifest.model_copy(update={"metrics": {**manifest.metrics, "copy": float(number)}})
    (target / MANIFEST).write_text(changed.model_dump_json())
    return load_directory(target, digest_of((target / MANIFEST).read_bytes()))


def file_of(model: LoadedArtifact) -> TriFile:
    return TriCodec.from_artifact(model).encode(PIXELS, 50)


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A process that has loaded nothing, and a user's cache that is empty."""
    monkeypatch.setattr(codecs_module, "_KEPT", codecs_module._Kept())
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user-cache"))


def context(**fields: object) -> HandlerContext:
    return HandlerContext("cpu", {"compression": artifact()}, **fields)  # type: ignore[arg-type]


def test_the_built_in_model_needs_nobody() -> None:
    """Without a pinned artifact or a store, what the package ships decodes its own files."""
    codec = Codecs(HandlerContext("cpu", {})).of(file_of(artifact()).model)
    assert codec.digest == artifact().digest == built_in_digest("compression")


def test_handlers_of_a_process_share_a_codec() -> None:
    """Sessions are loaded once, by whoever comes first, also when many come at once."""
    loaded: list[TriCodec] = []
    threads = [threading.Thread(target=lambda: loaded.append(Codecs(context()).pinned())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(codec) for codec in loaded}) == 1
    assert Codecs(context()).of(bytes.fromhex(artifact().digest)[:16]) is loaded[0]


def test_an_older_model_comes_from_the_store(tmp_path: Path) -> None:
    """Found by half of its digest, under any codec's name, verified, and then kept in the cache."""
    older = another_model(tmp_path)
    store = MemoryObjectStore()
    publish_artifact(store, built_in_directory("compression"))
    publish_artifact(store, older.directory)
    asked: list[str] = []

    def find(start: str) -> LoadedArtifact:
        asked.append(start)
        return find_codec_artifact(start, store, tmp_path / "cache")

    file = file_of(older)
    codecs = Codecs(context(find_artifact=find))
    assert np.array_equal(decoded(file, codecs).pixels, TriCodec.from_artifact(older).decode(file))
    decoded(file, codecs)
    assert asked == [older.digest[:32]]  # the second file found it loaded
    offline = find_codec_artifact(older.digest[:32], None, tmp_path / "cache")
    assert offline.digest == older.digest


def test_few_codecs_are_kept(tmp_path: Path) -> None:
    """The one used longest ago goes."""
    models = {model.digest[:32]: model for model in (another_model(tmp_path, i) for i in range(KEPT + 1))}
    asked: list[str] = []

    def find(start: str) -> LoadedArtifact:
        asked.append(start)
        return models[start]

    codecs = Codecs(HandlerContext("cpu", {}, find_artifact=find))
    names = [bytes.fromhex(start) for start in models]
    for name in (*names[:KEPT], names[0], names[KEPT], names[0], names[1]):
        codecs.of(name)
    assert asked == [*models, names[1].hex()]


def test_an_unknown_model_is_named() -> None:
    """The error is the item's, and has the digest that the file names."""
    stranger = dataclasses.replace(file_of(artifact()), model=b"another model...")
    for find in (None, lambda start: find_codec_artifact(start, MemoryObjectStore())):
        with pytest.raises(ArtifactNotFound, match=b"another model...".hex()):
            decoded(stranger, Codecs(context(find_artifact=find)))


def test_limits_come_before_models() -> None:
    """What is too large is refused by its header, whoever wrote it."""
    data = file_of(artifact()).to_bytes()
    assert is_tri(data)
    with pytest.raises(InputTooLarge):
        parse_within(data, Limits(max_bytes=len(data) - 1))
    with pytest.raises(ImageTooLarge, match="50 x 40"):
        parse_within(data, Limits(max_pixels=1999))
    with pytest.raises(CorruptBitstream):
        Images(context()).read(data[:-1])
    assert parse_within(data, Limits(max_bytes=len(data), max_pixels=2000)).width_px == 50
