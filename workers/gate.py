"""The quiet gate: ordinary shards pass together, a suspect item passes alone.

A process may die over an item. When a suspect runs, no other item is in the process, so that a death says
something about that item and costs nobody else an attempt.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class QuietGate:
    """A shared and exclusive lock in which those who want to be alone go first."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inside = 0
        self._alone = False
        self._wanting = 0

    @contextmanager
    def enter(self, *, alone: bool) -> Iterator[None]:
        """Waits until one may be inside, with others or alone."""
        with self._changed:
            if alone:
                self._wanting += 1
                self._changed.wait_for(lambda: not self._inside and not self._alone)
                self._wanting -= 1
                self._alone = True
            else:
                self._changed.wait_for(lambda: not self._wanting and not self._alone)
                self._inside += 1
        try:
            yield
        finally:
            with self._changed:
                if alone:
                    self._alone = False
                else:
                    self._inside -= 1
                self._changed.notify_all()
