"""Styles on a real store: what one worker encoded, the next one finds; what is missing has a name."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.core.artifact import built_in_digest
from pipeline.core.operation import Handler, ItemInput
from pipeline.core.s3 import S3ObjectStore, make_store
from pipeline.core.settings import Settings
from pipeline.operations import Registry
from pipeline.operations.stylize import StylizeParams, StylizeReceipt
from tests.support.codec import landscape
from tests.support.stylize import png
from workers.handlers import Handlers

CONTENT = png(landscape(64, 72))


@pytest.fixture
def store(settings: Settings) -> S3ObjectStore:
    return make_store(settings)


def worker(settings: Settings, store: S3ObjectStore, cache: Path) -> Handler:
    """The handler of a process of its own."""
    handlers = Handlers(settings.model_copy(update={"artifact_cache": cache}), store, Registry())
    return handlers.get(Registry().get("stylize"), {"stylization": built_in_digest("stylization")})


def encoded(handler: Handler, *styles: str) -> int:
    output = handler.run(ItemInput(CONTENT, "a.png", StylizeParams(styles=styles)))
    assert isinstance(output.receipt, StylizeReceipt)
    return output.receipt.styles_encoded


def test_a_style_is_encoded_once_for_all_workers(
    settings: Settings, store: S3ObjectStore, tmp_path: Path
) -> None:
    """The second process finds the first one's vectors in the store, and paints the same bytes."""
    first, second = worker(settings, store, tmp_path), worker(settings, store, tmp_path)
    assert [encoded(first, "wave", "night"), encoded(first, "night")] == [2, 0]
    assert [encoded(second, "night", "glass"), encoded(second, "glass")] == [1, 0]
    kept = [info for info in store.list("artifacts/memo-") if built_in_digest("stylization") in info.key]
    assert len(kept) == 3
    assert {info.size_bytes for info in kept} == {4 * 320}
    item = ItemInput(CONTENT, "a.png", StylizeParams(styles=("night",)))
    assert first.run(item).data == second.run(item).data
