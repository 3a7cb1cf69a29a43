"""Which engine runs a model: a row of a table, never what a manifest says to import; loaded once."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.core.artifact import ArtifactManifest, Terms
from pipeline.core.errors import InvalidParams, UnsupportedByModel
from pipeline.core.operation import Device, HandlerContext, LoadedArtifact
from pipeline.inference import describe_engines
from pipeline.inference.describe import Describer
from pipeline.inference.describe_engines import engine_of
from tests.support.describe import ColourEngine, item, receipt_of, swatch

MADE: list[str] = []


def artifact(engine: str, digest: str = "d1") -> LoadedArtifact:
    manifest = ArtifactManifest(
        name="mine", version=1, files={}, config={"engine": engine}, terms=Terms(licence="MIT")
    )
    return LoadedArtifact(manifest, digest, Path())


def make(loaded: LoadedArtifact, device: Device, device_index: int) -> ColourEngine:
    """What a row of the table names."""
    MADE.append(loaded.digest)
    return ColourEngine()


@pytest.fixture(autouse=True)
def table(monkeypatch: pytest.MonkeyPatch) -> None:
    MADE.clear()
    monkeypatch.setattr(describe_engines, "ENGINES", {"colours": f"{__name__}:make"})
    monkeypatch.setattr(describe_engines, "_LOADED", describe_engines._Loaded())


def context(*artifacts: LoadedArtifact) -> HandlerContext:
    return HandlerContext("cpu", {f"mine{number}": one for number, one in enumerate(artifacts)})


def test_an_imported_model_describes() -> None:
    """By the name under which the job has pinned it; several handlers share what is loaded."""
    both = context(artifact("colours", "a"))
    for _ in range(2):
        handler = Describer(both)
        assert receipt_of(handler.run(item(swatch(9, 9, 250), model="mine0"))).text == "A blue picture."
    assert MADE == ["a"]


def test_the_last_few_are_kept() -> None:
    found = context(*(artifact("colours", str(number)) for number in range(6)))
    for number in (0, 1, 2, 3, 4, 5, 5, 4, 0):
        engine_of(f"mine{number}", found)
    assert MADE == ["0", "1", "2", "3", "4", "5", "0"]


def test_unknown_engines_are_refused() -> None:
    """Whatever a manifest says: it names a row, no module."""
    for name in ("os:system", "pipeline.inference.describe:Describer", "florence"):
        with pytest.raises(UnsupportedByModel, match="not known here"):
            engine_of("mine0", context(artifact(name)))
    assert not MADE


def test_what_was_not_pinned_is_refused() -> None:
    with pytest.raises(InvalidParams, match="no model 'other'"):
        engine_of("other", context(artifact("colours")))
