"""The retry table: every error has a fate, and only what passes is tried again."""

from __future__ import annotations

import time
from itertools import count

import pytest

from pipeline.core.errors import (
    BrokerUnavailable,
    Conflict,
    DeviceOutOfMemory,
    Fault,
    InvalidInput,
    StorageUnavailable,
    Transient,
    TriptychError,
    leaves,
)
from workers.retry import FATES, PATIENCE_S, Fate, code_of, fate_of, message_of, patiently


@pytest.mark.parametrize("kind", leaves(), ids=lambda kind: kind.__name__)
def test_every_error_has_the_fate_of_its_branch(kind: type[TriptychError]) -> None:
    """Retried exactly if it says of itself that it is retryable; ours are loud, the user's are not."""
    fate = fate_of(kind("said"))
    assert (fate is Fate.RETRY) == kind.retryable
    assert (fate is Fate.FAIL_LOUDLY) == (issubclass(kind, Fault) or kind is TriptychError)
    assert code_of(kind("said")) == kind.code
    assert message_of(kind("said")) == "said"


def test_no_row_of_the_table_is_hidden_by_one_above_it() -> None:
    """A class that stands after one of its bases would never be reached."""
    for table in (FATES, PATIENCE_S):
        kinds = [row[0] for row in table]
        for place, kind in enumerate(kinds):
            assert not any(issubclass(kind, before) for before in kinds[:place]), kind


@pytest.mark.parametrize(
    "kind", [kind for kind in leaves() if kind.retryable], ids=lambda kind: kind.__name__
)
def test_patience_has_a_row_for_all_that_is_retried(kind: type[TriptychError]) -> None:
    """Without one, the wait for it would raise StopIteration in its place."""
    assert any(issubclass(kind, row) for row, _ in PATIENCE_S)


def test_nothing_unexpected_leaks_into_a_line() -> None:
    """Of an error that is none of ours the user reads a sentence without its text, the log has the rest."""
    error = ValueError("/home/ann/secret")
    assert fate_of(error) is Fate.FAIL_LOUDLY
    assert code_of(error) == "internal_error"
    assert "secret" not in message_of(error)
    assert code_of(MemoryError()) == "device_out_of_memory"


@pytest.mark.parametrize("kind", [Transient, StorageUnavailable, BrokerUnavailable, DeviceOutOfMemory])
def test_what_passes_is_tried_until_it_has_passed(kind: type[TriptychError]) -> None:
    """Three failures, then the result, without the caller noticing."""
    tries = count(1)

    def call() -> str:
        if next(tries) <= 3:
            raise kind("away")
        return "there"

    assert patiently(call) == "there"
    assert next(tries) == 5


@pytest.mark.parametrize("error", [InvalidInput("no"), Fault("no"), Conflict("no"), ValueError("no")])
def test_what_does_not_pass_is_tried_once(error: Exception) -> None:
    """Trying the impossible again only costs time."""
    tries = count(1)

    def call() -> None:
        next(tries)
        raise error

    with pytest.raises(type(error)):
        patiently(call)
    assert next(tries) == 2


def test_it_gives_up_as_told() -> None:
    """Once nobody waits for the result, the error comes out, after the try at hand."""
    tries, over = count(1), [False, False, True]

    def call() -> None:
        next(tries)
        raise StorageUnavailable("away")

    with pytest.raises(StorageUnavailable):
        patiently(call, give_up=lambda: over.pop(0))
    assert next(tries) == 4


def test_patience_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each kind is sat out as long as its row says, and then raised as it was."""
    monkeypatch.setattr("workers.retry.PATIENCE_S", ((StorageUnavailable, 0.3), (Transient, 0.0)))

    def call() -> None:
        raise StorageUnavailable("away for good")

    started = time.monotonic()
    with pytest.raises(StorageUnavailable, match="away for good"):
        patiently(call)
    assert 0.3 <= time.monotonic() - started < 5
