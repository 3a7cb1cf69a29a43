"""The batcher, with real threads and a session that can be held."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import pytest

from pipeline.core.errors import DeviceOutOfMemory, InternalError
from pipeline.inference.batching import Batcher
from pipeline.inference.session import Feeds


class HeldSession:
    """Doubles its input; the first call waits until it is let go, so that others gather behind it."""

    def __init__(self, largest_batch: int = 99) -> None:
        self.batches: list[tuple[int, ...]] = []
        self.entered, self.go = threading.Event(), threading.Event()
        self._largest = largest_batch

    def run(self, feeds: Feeds) -> list[np.ndarray]:
        x = feeds["x"]
        self.batches.append(x.shape)
        if len(self.batches) == 1:
            self.entered.set()
            assert self.go.wait(10)
        if (x < 0).any():
            raise InternalError("negative")
        if len(x) > self._largest:
            raise DeviceOutOfMemory("too much")
        return [x * 2, x.sum(axis=1)]


def gathered(
    session: HeldSession, batcher: Batcher, inputs: list[np.ndarray]
) -> list[Future[list[np.ndarray]]]:
    """Runs inputs in threads: the first holds the device until all others wait for it."""
    with ThreadPoolExecutor(len(inputs)) as pool:
        futures = [pool.submit(batcher.run, {"x": inputs[0]})]
        assert session.entered.wait(10)
        futures += [pool.submit(batcher.run, {"x": x}) for x in inputs[1:]]
        while len(batcher._waiting) < len(inputs) - 1:
            threading.Event().wait(0.005)
        session.go.set()
    return futures


def row(value: float, width: int = 3) -> np.ndarray:
    return np.full((1, width), value, np.float32)


def test_equal_shapes_run_together() -> None:
    """What gathers while the device is busy becomes one batch, and each thread gets its own result."""
    session = HeldSession()
    inputs = [row(i) for i in range(5)]
    futures = gathered(session, Batcher(session, 8), inputs)
    assert session.batches == [(1, 3), (4, 3)]
    for x, future in zip(inputs, futures, strict=True):
        doubled, total = future.result()
        assert np.array_equal(doubled, x * 2)
        assert np.array_equal(total, x.sum(axis=1))


def test_other_shapes_stay_apart() -> None:
    """Only equal shapes share a batch."""
    session = HeldSession()
    futures = gathered(session, Batcher(session, 8), [row(0), row(1), row(2, 5), row(3), row(4, 5)])
    assert sorted(session.batches[1:]) == [(2, 3), (2, 5)]
    assert [future.result()[0][0, 0] for future in futures] == [0, 2, 4, 6, 8]


def test_no_batch_is_larger_than_allowed() -> None:
    """max_batch counts entries, not calls."""
    session = HeldSession()
    inputs = [row(0)] + [np.repeat(row(i), 2, axis=0) for i in range(1, 6)]
    futures = gathered(session, Batcher(session, 5), inputs)
    assert max(shape[0] for shape in session.batches) <= 5
    assert [len(future.result()[0]) for future in futures] == [1, 2, 2, 2, 2, 2]


def test_an_error_reaches_every_thread_of_its_batch_and_no_other() -> None:
    """A failing batch ends its own callers; the batcher goes on."""
    session = HeldSession()
    batcher = Batcher(session, 8)
    futures = gathered(session, batcher, [row(0), row(-1), row(2, 5)])
    assert isinstance(futures[1].exception(), InternalError)
    assert futures[0].result()[0][0, 0] == 0
    assert futures[2].result()[0][0, 0] == 4
    assert batcher.run({"x": row(7)})[0][0, 0] == 14


def test_too_large_a_batch_is_split() -> None:
    """When memory runs out for a batch, its entries run one by one."""
    session = HeldSession(largest_batch=1)
    futures = gathered(session, Batcher(session, 8), [row(0), row(1), row(2)])
    assert [future.result()[0][0, 0] for future in futures] == [0, 2, 4]


def test_many_threads_at_random() -> None:
    """Under load each caller still gets what belongs to its input."""
    session = HeldSession()
    session.go.set()
    batcher = Batcher(session, 4)

    def call(value: int) -> bool:
        doubled, _ = batcher.run({"x": row(value, 2 + value % 3)})
        return bool((doubled == 2 * value).all()) and doubled.shape == (1, 2 + value % 3)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(call, range(300)))


def test_a_batch_of_one_is_a_plain_call() -> None:
    """On a CPU nothing waits for anything."""
    session = HeldSession()
    session.go.set()
    feeds = {"x": row(3)}
    assert Batcher(session, 1).run(feeds)[0][0, 0] == 6
    with pytest.raises(ValueError, match="at least 1"):
        Batcher(session, 0)
