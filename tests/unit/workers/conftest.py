"""One bench a test, its threads ended."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.unit.workers.workbench import Bench


@pytest.fixture
def bench() -> Iterator[Bench]:
    found = Bench()
    yield found
    found.close()


@pytest.fixture
def little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Transient trouble is sat out for a moment only."""
    monkeypatch.setattr("workers.retry.PATIENCE_S", ((Exception, 0.05),))
