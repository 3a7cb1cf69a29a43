"""The pulse: what a hand hears, and what the pulse itself survives."""

from __future__ import annotations

from pathlib import Path

from pipeline.core.errors import BrokerUnavailable
from pipeline.core.ledger import Beat
from pipeline.core.ledger import Pulse as Answer
from tests.unit.workers.workbench import CountingWatchdog, ScriptedLedger, lease, wait_until
from workers.pulse import Hand, Pulse

BEAT = Beat("w", ("work.bulk.cpu",), 2, ("copy",), "cpu")


def make(
    ledger: ScriptedLedger, health_file: Path | None = None, every_s: float = 0.01
) -> tuple[Pulse, CountingWatchdog]:
    watchdog = CountingWatchdog()
    pulse = Pulse(ledger, BEAT, watchdog, every_s=every_s, health_file=health_file)  # type: ignore[arg-type]
    return pulse, watchdog


def test_a_hand_hears_that_it_is_lost_or_cancelled_and_never_unhears_it() -> None:
    """One answer is enough: a later, better one does not make a stopped run go on."""
    ledger = ScriptedLedger([Answer(True, False)], [Answer(True, True)], [Answer(False, True)])
    pulse, _ = make(ledger)
    with pulse.holding(lease()) as hand:
        assert not hand.stopped
        pulse.start()
        try:
            wait_until(lambda: hand.cancelled)
            wait_until(lambda: hand.lost)
            wait_until(lambda: ledger.pulses > 5)  # the later ones say that all is well
            assert hand.lost
            assert hand.cancelled
        finally:
            pulse.stop()


def test_each_hand_hears_its_own_answer() -> None:
    """Answers come in the order of the leases, whatever the order of hands in the set."""

    class ByEntry(ScriptedLedger):
        def pulse(self, leases: list) -> list[Answer]:  # type: ignore[type-arg]
            return [Answer(held=one.entry != "1", cancelled=one.entry == "2") for one in leases]

    pulse, _ = make(ByEntry())
    with pulse.holding(lease("0")) as a, pulse.holding(lease("1")) as b, pulse.holding(lease("2")) as c:
        pulse.start()
        try:
            wait_until(lambda: b.lost and c.cancelled)
        finally:
            pulse.stop()
        assert [(hand.lost, hand.cancelled) for hand in (a, b, c)] == [
            (False, False),
            (True, False),
            (False, True),
        ]


def test_it_survives_redis() -> None:
    """An outage changes no hand and stops no pulse; what is said afterwards is heard."""
    outage = [BrokerUnavailable("away")] * 5
    ledger = ScriptedLedger(*outage, [Answer(True, True)])
    pulse, _ = make(ledger)
    with pulse.holding(lease()) as hand:
        pulse.start()
        try:
            wait_until(lambda: hand.cancelled)
            assert not hand.lost
        finally:
            pulse.stop()


def test_the_health_file_is_touched_only_while_redis_answers(tmp_path: Path) -> None:
    """Alive and connected: both, or the file grows old."""
    away, there = tmp_path / "away", tmp_path / "there"
    for path, ledger in ((away, ScriptedLedger(*[BrokerUnavailable("away")] * 3)), (there, ScriptedLedger())):
        pulse, _ = make(ledger, path, every_s=60)
        pulse.start()
        pulse.stop()
    assert not away.exists()
    assert there.exists()


def test_the_watchdog_hears_whether_anything_is_in_hand() -> None:
    """With nothing in hand a worker is idle, not stalled."""
    pulse, watchdog = make(ScriptedLedger())
    pulse.start()
    try:
        wait_until(lambda: watchdog.looks[-1:] == [True])
        with pulse.holding(lease()):
            wait_until(lambda: watchdog.looks[-1] is False)
        wait_until(lambda: watchdog.looks[-1] is True)
    finally:
        pulse.stop()


def test_it_says_goodbye() -> None:
    """A worker that stops frees its slots at once; if Redis is away they lapse by themselves."""
    ledger = ScriptedLedger()
    pulse, _ = make(ledger)
    pulse.start()
    pulse.stop()
    assert ledger.departed == ["w"]

    class Deaf(ScriptedLedger):
        def depart(self, worker: str) -> None:
            raise BrokerUnavailable("away")

    pulse, _ = make(Deaf())
    pulse.start()
    pulse.stop()


def test_native_is_told_once_for_each_change() -> None:
    """The ledger hears of an item when it goes into native code, not again for the same one."""
    ledger = ScriptedLedger()
    hand = Hand(lease(), ledger)  # type: ignore[arg-type]
    for items in ((3,), (3,), (4,), ()):
        hand.native(*items)
    assert ledger.native_calls == [(3,), (4,), ()]
