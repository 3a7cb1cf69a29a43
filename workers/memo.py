"""What workers tell each other of a model's results, in the object store."""

from __future__ import annotations

from contextlib import suppress

from pipeline.core.errors import NotFound, Transient
from pipeline.core.keys import memo_key
from pipeline.core.storage import ObjectStore

MOST_BYTES = 1 << 20


class StoreMemo:
    """A `pipeline.core.operation.Memo`. An absent store costs a computation, never an item."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def get(self, kind: str, model: str, sha256: str) -> bytes | None:
        with suppress(NotFound, Transient):
            return self._store.get(memo_key(kind, model, sha256), max_bytes=MOST_BYTES)
        return None

    def put(self, kind: str, model: str, sha256: str, data: bytes) -> None:
        with suppress(Transient):
            self._store.put(memo_key(kind, model, sha256), data)
