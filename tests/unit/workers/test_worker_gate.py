"""The quiet gate: who may be inside together."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from tests.unit.workers.workbench import wait_until
from workers.gate import QuietGate


class Guest:
    """A thread that enters, says so, and stays until it is told to leave."""

    def __init__(self, gate: QuietGate, *, alone: bool, order: list[str], name: str) -> None:
        self.inside = threading.Event()
        self._leave = threading.Event()

        def visit() -> None:
            with gate.enter(alone=alone):
                order.append(name)
                self.inside.set()
                self._leave.wait(10)

        self._thread = threading.Thread(target=visit)
        self._thread.start()

    def waits(self) -> bool:
        return not self.inside.wait(0.05)

    def leave(self) -> None:
        self._leave.set()
        self._thread.join(10)


@pytest.fixture
def door() -> tuple[QuietGate, list[str], Callable[..., Guest]]:
    gate, order = QuietGate(), []  # type: ignore[var-annotated]

    def guest(name: str, *, alone: bool = False) -> Guest:
        return Guest(gate, alone=alone, order=order, name=name)

    return gate, order, guest


Door = tuple[QuietGate, list[str], Callable[..., Guest]]


def test_ordinary_ones_are_inside_together(door: Door) -> None:
    """Any number of ordinary shards pass at once."""
    guests = [door[2](str(number)) for number in range(3)]
    assert all(guest.inside.wait(5) for guest in guests)
    for guest in guests:
        guest.leave()


def test_alone_waits_for_everybody_and_keeps_everybody_out(door: Door) -> None:
    """While a suspect is inside nobody else is, before or after."""
    _, order, guest = door
    first = guest("first")
    assert first.inside.wait(5)
    alone = guest("alone", alone=True)
    assert alone.waits()
    late = guest("late")
    assert late.waits()  # those who want to be alone go first
    first.leave()
    assert alone.inside.wait(5)
    assert late.waits()
    other = guest("other", alone=True)
    assert other.waits()
    alone.leave()
    assert other.inside.wait(5)
    assert late.waits()
    other.leave()
    assert late.inside.wait(5)
    late.leave()
    assert order == ["first", "alone", "other", "late"]


def test_an_exception_inside_opens_the_gate(door: Door) -> None:
    """Whoever leaves by an exception leaves, alone or not."""
    gate, _, guest = door
    for alone in (True, False):
        with pytest.raises(RuntimeError, match="inside"), gate.enter(alone=alone):
            raise RuntimeError("inside")
    after = guest("after", alone=True)
    assert after.inside.wait(5)
    after.leave()


def test_never_alone_with_company() -> None:
    """Under a storm of both kinds, whoever is alone never counts anybody beside itself."""
    gate, inside, broken = QuietGate(), [], []  # type: ignore[var-annotated]

    def visit(number: int) -> None:
        for turn in range(40):
            alone = (number + turn) % 3 == 0
            with gate.enter(alone=alone):
                inside.append((number, alone))
                company = list(inside)
                if any(one for _, one in company) and len(company) > 1:
                    broken.append(company)
                inside.remove((number, alone))

    threads = [threading.Thread(target=visit, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    wait_until(lambda: not any(thread.is_alive() for thread in threads))
    assert not broken
