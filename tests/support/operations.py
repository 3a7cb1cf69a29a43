"""Operations for tests: TRIPTYCH_EXTRA_OPERATIONS=tests.support.operations makes them known everywhere."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from pipeline.core.errors import Fault, InvalidInput, Transient
from pipeline.core.operation import HandlerContext, ItemInput, ItemOutput, Operation, Params, Result

CRASH = b"CRASH"


class NoParams(Params):
    """Nothing to choose."""


class SleepParams(Params):
    """How long to sleep."""

    seconds: float = Field(0.1, ge=0)


class MarkParams(Params):
    """What to mark with."""

    by: str = "x"


class FailParams(Params):
    """How to fail.

    `transient` fails the first `times` runs of each item in a process, then succeeds.
    """

    kind: Literal["invalid", "transient", "fault"] = "invalid"
    times: int = Field(1, ge=0)


class BytesIn(Result):
    """What went in."""

    bytes_in: int


class Noop:
    """Does nothing."""

    def __init__(self, context: HandlerContext) -> None:
        """Needs nothing of the worker."""

    def warm_up(self) -> None:
        """Nothing is cold."""

    def run(self, item: ItemInput) -> ItemOutput:
        return ItemOutput(BytesIn(bytes_in=len(item.data)))


class Sleep(Noop):
    """Sleeps, holding neither the GIL nor a core."""

    def run(self, item: ItemInput) -> ItemOutput:
        assert isinstance(item.params, SleepParams)
        time.sleep(item.params.seconds)
        return super().run(item)


class Copy(Noop):
    """Gives back what it got."""

    def run(self, item: ItemInput) -> ItemOutput:
        return ItemOutput(BytesIn(bytes_in=len(item.data)), item.data)


class Mark(Noop):
    """Gives back what it got with a mark behind it, as a picture that another step can take."""

    def run(self, item: ItemInput) -> ItemOutput:
        assert isinstance(item.params, MarkParams)
        return ItemOutput(BytesIn(bytes_in=len(item.data)), item.data + b"+" + item.params.by.encode())


class Fail(Noop):
    """Fails as it is told."""

    def __init__(self, context: HandlerContext) -> None:
        super().__init__(context)
        self._runs: Counter[str] = Counter()
        self._lock = threading.Lock()

    def run(self, item: ItemInput) -> ItemOutput:
        assert isinstance(item.params, FailParams)
        if item.params.kind == "invalid":
            raise InvalidInput("told to fail")
        if item.params.kind == "fault":
            raise Fault("told to fail")
        with self._lock:
            self._runs[item.name] += 1
            run = self._runs[item.name]
        if run <= item.params.times:
            raise Transient(f"told to fail, run {run}")
        return super().run(item)


class Crash(Copy):
    """Takes its process with it when the bytes begin with CRASH, as a broken decoder would."""

    def run(self, item: ItemInput) -> ItemOutput:
        if item.data.startswith(CRASH):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().run(item)


class CrashTogether(Crash):
    """The same for operations that take several items at once."""

    def run_batch(self, items: Sequence[ItemInput]) -> list[ItemOutput | Exception]:
        return [self.run(item) for item in items]


def _operation(name: str, handler: type[Noop], params: type[Params], **fields: object) -> Operation:
    return Operation(
        name=name,
        summary=f"For tests: {name}.",
        params=params,
        result=BytesIn,
        handler=f"{__name__}:{handler.__name__}",
        **fields,  # type: ignore[arg-type]
    )


ALL: tuple[Operation, ...] = (
    _operation("noop", Noop, NoParams, native=False, reads_input=False, seconds_per_item_hint=0.001),
    _operation("sleep", Sleep, SleepParams, native=False, reads_input=False, seconds_per_item_hint=0.1),
    _operation("copy", Copy, NoParams, native=False, seconds_per_item_hint=0.01, output_extension=".bin"),
    _operation(
        "mark",
        Mark,
        MarkParams,
        native=False,
        seconds_per_item_hint=0.01,
        output_extension=".bin",
        makes_picture=True,
    ),
    _operation("fail", Fail, FailParams, native=False, seconds_per_item_hint=0.01),
    _operation("crash", Crash, NoParams, native=True, seconds_per_item_hint=0.01, output_extension=".bin"),
    _operation(
        "crash_together",
        CrashTogether,
        NoParams,
        native=True,
        seconds_per_item_hint=0.01,
        output_extension=".bin",
        batch_items=8,
    ),
)
