"""What an error in a worker leads to: one table, and patience for what passes."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception_type, wait_random_exponential

from pipeline.core.errors import (
    AccessDenied,
    BrokerUnavailable,
    Conflict,
    DeviceOutOfMemory,
    Fault,
    InternalError,
    InvalidInput,
    NotFound,
    StorageUnavailable,
    Transient,
    TriptychError,
)
from pipeline.core.logs import get_logger

T = TypeVar("T")
log = get_logger(__name__)


class Fate(StrEnum):
    """What becomes of an item when its run raises."""

    FAIL = "fail"  # the item's own fault: its line says why
    FAIL_LOUDLY = "fail_loudly"  # ours: the same, and the log has a traceback
    RETRY = "retry"  # it may pass


# The first class that an error is an instance of decides.
FATES: tuple[tuple[type[Exception], Fate], ...] = (
    (Transient, Fate.RETRY),
    (InvalidInput, Fate.FAIL),
    (AccessDenied, Fate.FAIL),
    (NotFound, Fate.FAIL),
    (Conflict, Fate.FAIL),
    (Fault, Fate.FAIL_LOUDLY),
    (TriptychError, Fate.FAIL_LOUDLY),
    (MemoryError, Fate.RETRY),
    (Exception, Fate.FAIL_LOUDLY),
)

# How long each kind of trouble is sat out, the first row that fits. Storage and broker come back, and an item
# must not fail for an outage; memory comes back when other threads are done, or never.
PATIENCE_S: tuple[tuple[type[Exception], float], ...] = (
    (StorageUnavailable, 600.0),
    (BrokerUnavailable, 600.0),
    (DeviceOutOfMemory, 20.0),
    (Transient, 30.0),
)


def fate_of(error: Exception) -> Fate:
    """What the table says of an error."""
    return next(fate for kind, fate in FATES if isinstance(error, kind))


def code_of(error: Exception) -> str:
    """The stable code for a result line."""
    if isinstance(error, TriptychError):
        return error.code
    return DeviceOutOfMemory.code if isinstance(error, MemoryError) else InternalError.code


def message_of(error: Exception) -> str:
    """The sentence for a result line; nothing of an unexpected error leaks into it."""
    return error.message if isinstance(error, TriptychError) else InternalError().message


def patiently(call: Callable[[], T], *, give_up: Callable[[], bool] = lambda: False) -> T:
    """Calls until no transient error is raised any more, with back-off and jitter.

    Args:
        call: Must be safe to repeat.
        give_up: Asked between tries: true when nobody waits for the result any more.

    Raises:
        Exception: The last error, when the patience that PATIENCE_S grants it has run out.
    """
    try:
        return call()  # nearly always; the machinery below costs as much as the rest of an item's bookkeeping
    except Transient as error:
        first: Transient | None = error

    def again() -> T:
        nonlocal first
        if first is not None:  # the first try's error decides on the first wait
            error, first = first, None
            raise error
        return call()

    for attempt in Retrying(
        retry=retry_if_exception_type(Transient),
        stop=lambda state: _out_of_patience(state) or give_up(),
        wait=wait_random_exponential(multiplier=0.1, max=3.0),
        before_sleep=_say,
        reraise=True,
    ):
        with attempt:
            result = again()
    return result


def _out_of_patience(state: RetryCallState) -> bool:
    error = state.outcome.exception() if state.outcome else None
    allowed_s = next(seconds for kind, seconds in PATIENCE_S if isinstance(error, kind))
    return (state.seconds_since_start or 0.0) > allowed_s


# Told of every wait: sitting out an outage is no stall. The watchdog's `progress`, in a worker process.
on_wait: list[Callable[[], None]] = []


def _say(state: RetryCallState) -> None:
    for listener in on_wait:
        listener()
    error = state.outcome.exception() if state.outcome else None
    log.info("retry.waits", attempt=state.attempt_number, error=str(error))
