"""A store that would let results be overwritten is found out when a control worker starts."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.core.errors import StorageUnavailable, StoreUnsuitable
from pipeline.core.memory import MemoryObjectStore
from workers.store_check import require_conditional_put


def test_a_store_that_refuses_the_second_put_will_do() -> None:
    """And nothing of the check is left in it."""
    store = MemoryObjectStore()
    require_conditional_put(store)
    assert not [*store.list("")]


def test_one_that_overwrites_does_not() -> None:
    class Careless(MemoryObjectStore):
        def put(self, key: str, data: bytes, **fields: Any) -> None:
            super().put(key, data, **{**fields, "if_absent": False})

    store = Careless()
    with pytest.raises(StoreUnsuitable, match="If-None-Match"):
        require_conditional_put(store)
    assert not [*store.list("")]


def test_one_that_does_not_know_the_header_does_not() -> None:
    class Old(MemoryObjectStore):
        def put(self, key: str, data: bytes, **fields: Any) -> None:
            raise StorageUnavailable("the object store refused 'x': NotImplemented")

    with pytest.raises(StoreUnsuitable):
        require_conditional_put(Old())


def test_one_that_is_away_is_asked_another_time() -> None:
    class Away(MemoryObjectStore):
        def put(self, key: str, data: bytes, **fields: Any) -> None:
            raise StorageUnavailable("away")

    require_conditional_put(Away())
