"""How long a user waits for a job of one item beyond the model's own time."""

from __future__ import annotations

import statistics
import time

import httpx
import pytest

from tests.benchmarks.conftest import StartFleet
from tests.support.fleet import Fleet
from tests.support.measure import at_s, table

JOBS = 20
POLL_S = 0.005
MOST_S = 0.300
STEPS = ("accepted", "plan begun", "planned", "item begun", "item finished", "seen")


@pytest.mark.parametrize("job_class", ["bulk", "interactive"])
def test_latency(start_fleet: StartFleet, job_class: str) -> None:
    """From POST to GET results with the line, polled every 5 ms: under 300 ms, median of 20, no model."""
    fleet = start_fleet()
    url = fleet.api()
    fleet.workers(1)
    fleet.store.put("in/0.bin", bytes(100_000))
    with httpx.Client(base_url=url, timeout=30) as client:
        for _ in range(3):
            one_job(client, job_class)
        jobs = []
        for _ in range(JOBS):
            time.sleep(0.2)
            jobs.append(one_job(client, job_class))

    times = [steps(fleet, *job) for job in jobs]
    waits = [row[-1] for row in times]
    before = [[0.0, *row[:-1]] for row in times]
    rows = [
        [
            name,
            statistics.median(row[place] * 1e3 for row in times),
            statistics.median(
                (row[place] - start[place]) * 1e3 for row, start in zip(times, before, strict=True)
            ),
        ]
        for place, name in enumerate(STEPS)
    ]
    title = f"latency of a one-item {job_class} job (100 KB copied, no model), median of {JOBS}"
    print(table(title, ("until", "ms since POST", "ms since step before"), rows))
    print(f"all: {min(waits) * 1e3:.0f} to {max(waits) * 1e3:.0f} ms")
    assert statistics.median(waits) < MOST_S


def one_job(client: httpx.Client, job_class: str) -> tuple[str, float, float]:
    """Submits a job and polls until its line is there: its id, when it was posted, when the line came."""
    request = {
        "steps": [{"operation": "copy"}],
        "inputs": {"kind": "keys", "keys": ["in/0.bin"]},
        "class": job_class,
    }
    posted_at = time.time()
    answer = client.post("/v1/jobs", json=request)
    assert answer.status_code == 202, answer.text
    job_id = answer.json()["id"]
    while not client.get(f"/v1/jobs/{job_id}/results").raise_for_status().content:
        assert time.time() - posted_at < 10, "no result"
        time.sleep(POLL_S)
    return job_id, posted_at, time.time()


def steps(fleet: Fleet, job_id: str, posted_at: float, seen_at: float) -> list[float]:
    """Seconds from the POST to each of STEPS, by the logs of API, control and device worker."""

    def at(prefix: str, event: str, **fields: str) -> float:
        wanted = {"job": job_id, **fields}
        found = (
            one
            for one in fleet.events(prefix, event)
            if all((one.get(name) or one.get(f"{name}_id")) == text for name, text in wanted.items())
        )
        return at_s(next(found)) - posted_at

    return [
        at("api", "job.accepted"),
        at("control", "entry.begun", entry="plan"),
        at("control", "job.planned"),
        at("device", "entry.begun"),
        at("device", "shard.finished"),
        seen_at - posted_at,
    ]
