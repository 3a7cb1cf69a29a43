"""Runs equal shapes of concurrent threads as one batch.

Whoever finds the device free leads: it takes what waits with its own shapes, runs it, and hands out the
results; the others wait. So a batch forms from what arrived while the last one ran, and nobody waits for a
timer. On a CPU batches gain nothing (measured), so `max_batch` 1 is a plain call.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.core.errors import DeviceOutOfMemory, InternalError
from pipeline.inference.session import Feeds, Session


class _Request:
    """One thread's inputs, and what came of them."""

    def __init__(self, feeds: Feeds) -> None:
        self.feeds = feeds
        self.shapes = tuple((name, array.dtype.str, array.shape[1:]) for name, array in sorted(feeds.items()))
        self.count = len(next(iter(feeds.values())))
        self.outputs: list[NDArray[Any]] | None = None
        self.error: BaseException | None = None

    @property
    def done(self) -> bool:
        return self.outputs is not None or self.error is not None

    def result(self) -> list[NDArray[Any]]:
        if self.error is not None:
            raise self.error
        if self.outputs is None:
            raise InternalError("a batch ended without its results")
        return self.outputs


class Batcher:
    """A `Session` that gathers calls. At most `max_batch` entries run at once."""

    def __init__(self, session: Session, max_batch: int) -> None:
        if max_batch < 1:
            raise ValueError(f"max_batch must be at least 1, not {max_batch}")
        self._session = session
        self._max_batch = max_batch
        self._changed = threading.Condition()
        self._waiting: list[_Request] = []
        self._busy = False

    def run(self, feeds: Feeds) -> list[NDArray[Any]]:
        if self._max_batch == 1:
            return self._session.run(feeds)
        request = _Request(feeds)
        with self._changed:
            self._waiting.append(request)
        while (batch := self._next_batch(request)) is not None:
            try:
                self._serve(batch)
            finally:
                with self._changed:
                    self._busy = False
                    self._changed.notify_all()
        return request.result()

    def _next_batch(self, request: _Request) -> list[_Request] | None:
        """Waits until the request was served by somebody (None) or the device is free: then a batch."""
        with self._changed:
            self._changed.wait_for(lambda: request.done or not self._busy)
            if request.done:
                return None
            self._busy = True
            batch, entries = [request], request.count
            for other in self._waiting:
                fits = other.shapes == request.shapes and entries + other.count <= self._max_batch
                if other is not request and fits:
                    batch.append(other)
                    entries += other.count
            self._waiting = [other for other in self._waiting if other not in batch]
            return batch

    def _serve(self, batch: list[_Request]) -> None:
        try:
            self._run_together(batch)
        except DeviceOutOfMemory as error:
            if len(batch) == 1:
                batch[0].error = error
                return
            for request in batch:  # together they were too much; one by one they may fit
                self._serve([request])
        except BaseException as error:  # noqa: BLE001 - every thread of the batch has to hear of it
            for request in batch:
                request.error = error

    def _run_together(self, batch: list[_Request]) -> None:
        names = batch[0].feeds.keys()
        feeds = {name: np.concatenate([request.feeds[name] for request in batch]) for name in names}
        outputs = self._session.run(feeds)
        start = 0
        for request in batch:
            end = start + request.count
            request.outputs = [output[start:end] for output in outputs]
            start = end
