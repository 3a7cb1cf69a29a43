"""Texts written with keys and values in a device's memory, on whatever device there is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pytest

from pipeline.core.operation import Device
from pipeline.inference.kv_cache import CACHES, DeviceCache, Floats, Ids, StepGraph


@dataclass
class Watch:
    """What was seen, for each batch at each step: items on the device, and those of them not finished."""

    batches: list[list[tuple[int, int]]] = field(default_factory=list)

    @property
    def read_along(self) -> bool:
        """Whether a finished item stayed for a step."""
        return any(living < there for batch in self.batches for there, living in batch)

    @property
    def dropped(self) -> bool:
        """Whether finished items were dropped, others going on."""
        pairs = (pair for batch in self.batches for pair in pairwise(batch))
        return any(after < before for (before, _), (after, _) in pairs)


def tokens_found_anywhere(texts: Sequence[Sequence[int]]) -> list[int]:
    """Tokens by the number of places at which they first come, the most first.

    Random weights hardly ever end a text. Where one of these ends them, texts have many lengths.
    """
    places: defaultdict[int, set[int]] = defaultdict(set)
    for tokens in texts:
        for token in tokens:
            places[token].add(tokens.index(token))
    return sorted(places, key=lambda token: -len(places[token]))


def keep_on_device(monkeypatch: pytest.MonkeyPatch, device: Device) -> Watch:
    """From now on models on this device ("cpu", too) keep keys and values in its memory."""
    watch = Watch()

    class Watched(DeviceCache):
        def __init__(
            self, graph: StepGraph, prefix: Mapping[str, Floats], text: Mapping[str, Floats]
        ) -> None:
            super().__init__(graph, prefix, text)
            watch.batches.append([])

        def read(self, tokens: Ids, place: int) -> Floats:
            watch.batches[-1].append((len(self._there), len(self._living)))
            scores = super().read(tokens, place)
            kept = [*self._prefix.values(), *self._text.values()]
            assert not any(isinstance(value, np.ndarray) for value in kept)
            return scores

    monkeypatch.setitem(CACHES, device, Watched)
    return watch
