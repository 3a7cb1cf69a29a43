from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from api import events
from pipeline.core.errors import BrokerUnavailable
from pipeline.core.jobs import JobState
from tests.unit.api.client import AppClient
from tests.unit.api.world import World, body, good


@pytest.fixture
def job_id(client: AppClient, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(events, "POLL_S", 0.02)
    job_id: str = client.post("/v1/jobs", json=body()).json()["id"]
    return job_id


def events_of(text: str) -> list[tuple[str, dict[str, Any]]]:
    """(event, data) of each event of a stream."""
    found = []
    for block in text.replace("\r\n", "\n").split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if fields:
            found.append((fields["event"], json.loads(fields["data"])))
    return found


def watch_while(client: AppClient, job_id: str, act: Callable[[], None]) -> list[tuple[str, dict[str, Any]]]:
    """The events of a job to whose stream something happens."""
    actor = threading.Timer(0.1, act)
    actor.start()
    answer = client.get(f"/v1/jobs/{job_id}/events")
    actor.join()
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    return events_of(answer.text)


def test_a_stream_ends_with_its_job(client: AppClient, world: World, job_id: str) -> None:
    """Each change is an event; the last one is the end, with the job as `GET` shows it."""

    def run() -> None:
        world.plan(job_id, [["a"], ["b"]])
        for number, name in enumerate("ab"):
            time.sleep(0.1)
            world.finish(job_id, str(number), [good(number, name)])
        time.sleep(0.1)
        world.end(job_id)

    seen = watch_while(client, job_id, run)
    assert {name for name, _ in seen[:-1]} == {"progress"}
    done = [job["counts"]["succeeded"] for _, job in seen]
    assert done == sorted(done)
    assert set(done) == {0, 1, 2}
    assert seen[0][1]["state"] == "accepted"
    assert all(before[1] != after[1] for before, after in pairwise(seen))
    assert seen[-1] == ("end", client.get(f"/v1/jobs/{job_id}").json())


def test_an_ended_job_ends_at_once(client: AppClient, world: World, job_id: str) -> None:
    """The stream of a job that has ended is one event."""
    world.plan(job_id, [])
    world.end(job_id, JobState.CANCELLED)
    [(name, job)] = events_of(client.get(f"/v1/jobs/{job_id}/events").text)
    assert (name, job["state"]) == ("end", "cancelled")


def test_a_stream_waits_for_the_broker(
    client: AppClient, world: World, job_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker that is away for a while breaks no stream."""
    world.plan(job_id, [])
    real, calls = world.ledger.job, 0

    def job(asked: str) -> Any:
        nonlocal calls
        calls += 1
        if 2 <= calls <= 4:
            raise BrokerUnavailable("no answer")
        return real(asked)

    monkeypatch.setattr(world.ledger, "job", job)
    seen = watch_while(client, job_id, lambda: world.end(job_id) and None)
    assert calls > 4
    assert seen[-1][0] == "end"


def test_a_stream_whose_job_is_deleted(client: AppClient, world: World, job_id: str) -> None:
    """A job that ended and was deleted between two looks ends the stream."""

    def vanish() -> None:
        world.ledger.forget(job_id)
        world.store.delete(world.keys(f"jobs/{job_id}/"))

    seen = watch_while(client, job_id, vanish)
    assert [name for name, _ in seen] == ["progress"]
