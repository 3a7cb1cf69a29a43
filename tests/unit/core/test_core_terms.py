"""Terms: what an installation allows; manifests are found in both places, and held to their digest."""

from __future__ import annotations

import pytest

from pipeline.core.artifact import ArtifactManifest, Terms, built_in_digest, built_in_manifest
from pipeline.core.artifact_store import find_manifest, newest_published
from pipeline.core.errors import ArtifactCorrupt, ArtifactNotFound, TermsNotAllowed
from pipeline.core.keys import artifact_prefix
from pipeline.core.memory import MemoryObjectStore
from pipeline.core.operation import HandlerContext
from pipeline.core.settings import Settings
from pipeline.core.terms import check_terms
from pipeline.operations import Registry
from tests.support.describe import published
from workers.handlers import Handlers


def manifest(name: str, licence: str) -> ArtifactManifest:
    return ArtifactManifest(name=name, version=1, files={}, terms=Terms(licence=licence))


@pytest.mark.parametrize("allowed", [[], ["mit"], ["Apache-2.0", "MIT"]])
def test_what_is_allowed(allowed: list[str]) -> None:
    """Nothing listed allows everything; case does not matter."""
    check_terms([manifest("a", "MIT")], allowed)


@pytest.mark.parametrize("licence", ["MIT-0", "weights: non-commercial research use", ""])
def test_what_is_not(licence: str) -> None:
    """Whole licences are compared; one model of several is enough."""
    with pytest.raises(TermsNotAllowed, match="the model 'b' is under"):
        check_terms([manifest("a", "MIT"), manifest("b", licence)], ["MIT"])


def test_workers_do_not_load_what_is_not_allowed() -> None:
    """Neither when a job names it, nor when they start: those operations are left out."""
    settings = Settings(_env_file=None, allow_terms="MIT")  # type: ignore[call-arg]
    handlers = Handlers(settings, MemoryObjectStore(), Registry())
    handlers.warm_up()
    with pytest.raises(TermsNotAllowed):
        handlers.get(Registry().get("stylize"), {"stylization": built_in_digest("stylization")})


def test_a_remote_model_needs_no_artifact() -> None:
    """Where no model of ours is allowed, the endpoint still is."""
    settings = Settings(_env_file=None, allow_terms="MIT")  # type: ignore[call-arg]
    handler = Handlers(settings, MemoryObjectStore(), Registry()).get(Registry().get("describe"), {})
    assert handler is not None
    assert HandlerContext("cpu", {}).endpoint is None


def test_manifests_of_both_places() -> None:
    store = MemoryObjectStore()
    digest = built_in_digest("compression")
    assert find_manifest(store, "compression", digest) == built_in_manifest("compression", digest)
    imported = published(store)
    assert find_manifest(store, "colours", imported).terms.licence == "MIT"
    with pytest.raises(ArtifactNotFound):
        find_manifest(store, "colours", "0" * 64)
    store.put(artifact_prefix("colours", "1" * 64) + "manifest.json", b"{}")
    with pytest.raises(ArtifactCorrupt):
        find_manifest(store, "colours", "1" * 64)


def test_the_newest_of_a_name() -> None:
    """Names are whole: `blip` is not `blip-large`."""
    store = MemoryObjectStore()
    with pytest.raises(ArtifactNotFound, match="no artifact 'blip'"):
        newest_published(store, "blip")
    published(store, "blip-large")
    with pytest.raises(ArtifactNotFound):
        newest_published(store, "blip")
    digest = published(store, "blip")
    assert newest_published(store, "blip") == digest
