"""A job against a bare loop over the same work, in turn, so that what else the machine does hits both."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.benchmarks.conftest import cpu_of
from tests.support.fleet import Fleet
from tests.support.measure import table

ROUNDS = 3
JOB, BARE = "job", "bare loop"
SHOWN = ("device", "control", "seaweedfs", "valkey", BARE)


@dataclass(frozen=True)
class InTurn:
    """What was measured.

    Attributes:
        items: Items a round.
        rates: Items a second by kind, one number a round.
        cost: CPU seconds of all rounds by kind and process class.
    """

    items: int
    rates: Mapping[str, list[float]]
    cost: Mapping[str, Mapping[str, float]]

    @property
    def ratio(self) -> float:
        """Rate of the job over that of the bare loop, median of the rounds."""
        return statistics.median(j / b for j, b in zip(self.rates[JOB], self.rates[BARE], strict=True))

    @property
    def cpu_ratio(self) -> float:
        """CPU seconds of the bare loop over those of the job's processes and servers.

        What `ratio` comes to where every core is busy all the time; what else runs here hardly moves it.
        """
        return self.cost[BARE][BARE] / sum(self.cost[JOB].values())

    def shown(self, title: str) -> str:
        """Rates and CPU milliseconds an item as a table, and the ratio."""
        total = ROUNDS * self.items
        rows = [
            [
                kind,
                *rates,
                statistics.median(rates),
                *(self.cost[kind][name] / total * 1e3 for name in SHOWN),
            ]
            for kind, rates in self.rates.items()
        ]
        head = ("", *(f"round {n + 1}" for n in range(ROUNDS)), "median", *SHOWN)
        text = table(f"{title}; items/s, and CPU ms an item by process class", head, rows)
        ratios = f"{self.ratio:.3f}, by CPU seconds {self.cpu_ratio:.3f}"
        return f"{text}\nratio {JOB} / {BARE}, median of rounds: {ratios}"


def run_in_turn(
    fleet: Fleet,
    servers: Mapping[str, int],
    items: int,
    *,
    job: Callable[[], float],
    bare: Callable[[int], tuple[float, float]],
) -> InTurn:
    """Runs both, three times, each first in its turn.

    Args:
        fleet: Whose workers' CPU seconds are counted.
        servers: Process ids of servers, by the names in SHOWN.
        items: Items that each does a round.
        job: Runs a job; gives its wall seconds.
        bare: Runs the bare loop of that round; gives its wall and CPU seconds.
    """
    rates: dict[str, list[float]] = {BARE: [], JOB: []}
    cost = {kind: dict.fromkeys(SHOWN, 0.0) for kind in rates}
    for number in range(ROUNDS):
        for kind in (BARE, JOB) if number % 2 == 0 else (JOB, BARE):
            before = cpu_of(fleet, servers)
            if kind == JOB:
                took_s = job()
            else:
                took_s, bare_cpu_s = bare(number)
                cost[kind][BARE] += bare_cpu_s
            for name, cpu_s in cpu_of(fleet, servers).items():
                cost[kind][name] += cpu_s - before[name]
            rates[kind].append(items / took_s)
    return InTurn(items, rates, cost)
