"""The process's pulse: renews leases, hears of cancels, shows that the worker lives, feeds the watchdog."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.core.errors import BrokerUnavailable
from pipeline.core.ledger import Beat, Lease, Ledger
from pipeline.core.logs import get_logger
from workers.watchdog import Watchdog

BEAT_EVERY_S = 2.0
log = get_logger(__name__)


class Hand:
    """An entry that this process has in hand.

    Attributes:
        lost: Somebody else has taken it over, or its job is gone: stop, and write nothing.
        cancelled: Its job is being cancelled: write what is done, the rest as cancelled.
    """

    def __init__(self, lease: Lease, ledger: Ledger) -> None:
        self.lease = lease
        self.lost = False
        self.cancelled = False
        self._ledger = ledger
        self._native: tuple[int, ...] = ()

    @property
    def stopped(self) -> bool:
        return self.lost or self.cancelled

    def native(self, *items: int) -> None:
        """Names the items that native code is about to work on, in the ledger, before it does."""
        if items != self._native:
            self._ledger.native(self.lease, items)
            self._native = items


class Pulse:
    """A thread beside the pool's. Everything it does may fail for a while: Redis comes back."""

    def __init__(
        self, ledger: Ledger, beat: Beat, watchdog: Watchdog, *, every_s: float, health_file: Path | None
    ) -> None:
        self._ledger = ledger
        self._beat = beat
        self._watchdog = watchdog
        self._every_s = every_s
        self._health_file = health_file
        self._hands: set[Hand] = set()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pulse", daemon=True)
        self._beaten_at = 0.0

    def start(self) -> None:
        self._look()
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(5)
        try:
            self._ledger.depart(self._beat.worker)
        except BrokerUnavailable as error:
            log.info("worker.departs_unheard", error=str(error))

    @contextmanager
    def holding(self, lease: Lease) -> Iterator[Hand]:
        """Renews a lease as long as the block runs."""
        hand = Hand(lease, self._ledger)
        with self._lock:
            self._hands.add(hand)
        try:
            yield hand
        finally:
            with self._lock:
                self._hands.discard(hand)

    def _run(self) -> None:
        while not self._stop.wait(self._every_s):
            self._look()

    def _look(self) -> None:
        with self._lock:
            hands = list(self._hands)
        self._watchdog.look(idle=not hands)
        try:
            self._renew(hands)
            self._show()
        except (BrokerUnavailable, OSError) as error:  # or the health file could not be touched
            log.warning("pulse.missed", error=str(error))

    def _renew(self, hands: list[Hand]) -> None:
        for hand, answer in zip(hands, self._ledger.pulse([hand.lease for hand in hands]), strict=True):
            hand.lost = hand.lost or not answer.held
            hand.cancelled = hand.cancelled or answer.cancelled

    def _show(self) -> None:
        if time.monotonic() - self._beaten_at >= BEAT_EVERY_S:
            self._ledger.beat(self._beat)
            self._beaten_at = time.monotonic()
            if self._health_file is not None:
                self._health_file.touch()
