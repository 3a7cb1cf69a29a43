"""Keys and values between the steps of texts: arrays on a CPU, in the GPU's own memory on CUDA.

    prefix (an item's, never changes) ──┐
    text so far ── step graph, a token further ── scores of the next token, longer text ──┐
      └───────────────────────────────────────────────────────────────────────────────────┘

As arrays, all of them would cross the bus to a GPU with every token, and the text's would come back. Bound to
the device, only tokens go there and only scores come back; what else crosses is said at `DeviceCache`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.core.operation import Device
from pipeline.inference.session import Feeds, OrtSession, Value

Floats = NDArray[np.float32]
Ids = NDArray[np.int64]
Rows = NDArray[np.intp]


@dataclass(frozen=True)
class StepGraph:
    """A graph that goes one token further; its outputs are scores and then the longer text.

    Attributes:
        session: The graph.
        feeds: Its inputs but keys and values, of tokens (N, K) at a place.
        flat: Whether its rows are texts, N * K of them, and the prefix has a row for each; otherwise a row is
            an item with K texts, and the prefix has a row for each item.
    """

    session: OrtSession
    feeds: Callable[[Ids, int], Feeds]
    flat: bool

    def chosen(self, array: NDArray[Any], rows: Rows, sources: Rows, beams: int) -> NDArray[Any]:
        """Of a text's array of so many beams: these rows, and of each these beams; a copy."""
        if self.flat:
            array = array.reshape(len(array) // beams, beams, *array.shape[1:])
        found: NDArray[Any] = array[rows[:, None], sources]
        return found.reshape(sources.size, *found.shape[2:]) if self.flat else found

    def of_rows(self, array: NDArray[Any], rows: Rows, beams: int) -> NDArray[Any]:
        """These rows of a prefix that has one an item, as the graph wants them; a copy."""
        return array[np.repeat(rows, beams) if self.flat else rows]


class KvCache(Protocol):
    """Keys and values of N items with K texts each, and the graph that reads them."""

    def read(self, tokens: Ids, place: int) -> Floats:
        """Goes one token further, (N, K) of them.

        Returns:
            Scores of the next token, (N, K, vocabulary).
        """

    def take(self, rows: Rows, sources: Rows) -> None:
        """Goes on with these of the items, (M,), in ascending order, and of each with these texts, (M, K)."""


class HostCache:
    """In arrays.

    Args:
        graph: What reads them.
        prefix: By the graph's names, a row an item.
        text: By the graph's names, in the order of its outputs: empty ones of one text an item.
    """

    def __init__(self, graph: StepGraph, prefix: Mapping[str, Floats], text: Mapping[str, Floats]) -> None:
        self._graph = graph
        self._all, self._prefix, self._text = prefix, dict(prefix), dict(text)
        self._kept: Rows = np.arange(_rows_of(prefix))
        self._beams = 1

    def read(self, tokens: Ids, place: int) -> Floats:
        feeds = {**self._graph.feeds(tokens, place), **self._prefix, **self._text}
        scores, *longer = self._graph.session.run(feeds)
        self._text = dict(zip(self._text, longer, strict=True))
        return scores.reshape(*tokens.shape, -1)

    def take(self, rows: Rows, sources: Rows) -> None:
        graph, beams, fewer = self._graph, sources.shape[1], len(rows) < len(self._kept)
        if beams == self._beams == 1 and not fewer:
            return
        self._text = {
            name: graph.chosen(array, rows, sources, self._beams) for name, array in self._text.items()
        }
        self._kept = self._kept[rows]
        if fewer or (graph.flat and beams != self._beams):  # only then: they are large
            self._prefix = {
                name: graph.of_rows(array, self._kept, beams) for name, array in self._all.items()
            }
        self._beams = beams


class DeviceCache:
    """In the device's own memory, through ONNX Runtime's IO binding; the arguments are those of `HostCache`.

    Nothing here could pick rows on the device: artifacts have no graph for that. So finished items stay, read
    along and ignored, until they are half of all; then the text's keys and values go over the host once, and
    the prefix is sent anew. Where texts change places (beams, at nearly every step; greedy ones never do) the
    text's keys and values go over the host, of all items or of none; the prefix, the larger part, stays.

    No item is changed by what stays beside it: a graph's rows do not see each other.
    """

    def __init__(self, graph: StepGraph, prefix: Mapping[str, Floats], text: Mapping[str, Floats]) -> None:
        self._graph = graph
        self._all, self._text = prefix, dict[str, Value](text)
        self._prefix: dict[str, Value] = {}
        self._there: Rows = np.arange(_rows_of(prefix))  # items on the device, by their rows in `prefix`
        self._living: Rows = np.arange(len(self._there))  # of those, by place, the ones that go on
        self._beams = 1
        self._send_prefix()

    def read(self, tokens: Ids, place: int) -> Floats:
        everyone = np.zeros((len(self._there), self._beams), np.int64)  # any token does for the finished
        everyone[self._living] = tokens
        feeds = {**self._graph.feeds(everyone, place), **self._prefix, **self._text}
        scores, *longer = self._graph.session.run_bound(feeds, fetched=1)
        self._text = dict(zip(self._text, longer, strict=True))
        of_everyone: Floats = scores.reshape(*everyone.shape, -1)
        return of_everyone if len(self._living) == len(everyone) else of_everyone[self._living]

    def take(self, rows: Rows, sources: Rows) -> None:
        beams = sources.shape[1]
        self._living = self._living[rows]
        mostly_finished = 2 * len(self._living) <= len(self._there)
        in_place = beams == self._beams and bool((sources == np.arange(beams)).all())
        if in_place and not mostly_finished:
            return
        places, texts = self._living, sources
        if not mostly_finished:
            places = np.arange(len(self._there))
            texts = np.zeros((len(places), beams), np.intp)
            texts[self._living] = sources
        for name, value in self._text.items():
            array = value if isinstance(value, np.ndarray) else self._graph.session.from_device(value)
            moved = self._graph.chosen(array, places, texts, self._beams)
            self._text[name] = self._graph.session.to_device(moved)
        widened, self._beams = beams != self._beams, beams
        if mostly_finished:
            self._there, self._living = self._there[places], np.arange(len(places))
        if mostly_finished or (self._graph.flat and widened):
            self._send_prefix()

    def _send_prefix(self) -> None:
        self._prefix = {}  # frees the old one before the new one needs room
        for name, array in self._all.items():
            rows = self._graph.of_rows(array, self._there, self._beams)
            self._prefix[name] = self._graph.session.to_device(rows)


# Where keys and values stay, by device.
CACHES: dict[Device, type[HostCache] | type[DeviceCache]] = {"cpu": HostCache, "cuda": DeviceCache}


def _rows_of(prefix: Mapping[str, Floats]) -> int:
    return len(next(iter(prefix.values())))
