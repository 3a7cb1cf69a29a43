from __future__ import annotations

from typing import Any

import pytest

from pipeline.core.jobs import Decision, JobState
from pipeline.core.keys import JobKeys
from pipeline.core.ledger import CONTROL
from tests.unit.api.client import AppClient, is_problem
from tests.unit.api.world import World, bad, body, good


@pytest.fixture
def job_id(client: AppClient) -> str:
    job_id: str = client.post("/v1/jobs", json=body()).json()["id"]
    return job_id


def decision(world: World, job_id: str) -> Decision:
    return Decision.model_validate_json(world.store.get(JobKeys(job_id).decision))


# -- looking ------------------------------------------------------------------------------------------
def test_a_job_through_its_life(client: AppClient, world: World, job_id: str) -> None:
    """A job shows what the ledger counts while it runs, and what the summary says once it has ended."""
    world.plan(job_id, [["a", "b"], ["c", "d"]])
    running = client.get(f"/v1/jobs/{job_id}").json()
    assert (running["state"], running["shards"], running["counts"]["total"]) == ("running", 2, 4)
    world.finish(job_id, "0", [good(0, "a"), bad(1, "b")])
    half = client.get(f"/v1/jobs/{job_id}").json()
    assert half["counts"] == {"total": 4, "succeeded": 1, "failed": 1, "cancelled": 0}
    assert half["rate_items_per_s"] > 0
    assert half["time_left_s"] == pytest.approx(2 / half["rate_items_per_s"])
    assert half["finished_at"] is None
    world.finish(job_id, "1", [good(2, "c"), good(3, "d")])
    world.end(job_id, bytes_in=40, bytes_out=30)
    ended = client.get(f"/v1/jobs/{job_id}").json()
    assert ended["state"] == "completed"
    assert ended["counts"] == {"total": 4, "succeeded": 3, "failed": 1, "cancelled": 0}
    assert (ended["bytes_in"], ended["bytes_out"], ended["time_left_s"]) == (40, 30, None)
    assert ended["created_at"] <= ended["finished_at"]
    world.ledger.forget(job_id)
    assert client.get(f"/v1/jobs/{job_id}").json() == ended


def test_a_job_that_the_ledger_lost(client: AppClient, world: World, job_id: str) -> None:
    """A job that only storage knows shows as accepted, with what was decided."""
    client.patch(f"/v1/jobs/{job_id}", json={"priority": 9})
    world.ledger.forget(job_id)
    job = client.get(f"/v1/jobs/{job_id}").json()
    assert (job["state"], job["priority"]) == ("accepted", 9)


def test_a_failed_job_says_why(client: AppClient, world: World, job_id: str) -> None:
    """A job that failed shows its error, before and after its end."""
    world.ledger.cancel(job_id, "undeliverable", "sent five times")
    error = {"code": "undeliverable", "message": "sent five times"}
    assert client.get(f"/v1/jobs/{job_id}").json()["error"] == error
    world.end(job_id, JobState.FAILED, error=error)
    ended = client.get(f"/v1/jobs/{job_id}").json()
    assert (ended["state"], ended["error"]) == ("failed", error)


@pytest.mark.parametrize(
    "job_id",
    ["job_1", "x", f"job_{'g' * 32}", f"job_{'0' * 33}", f"job_{'0' * 32}%0A", "..", "%2e%2e%2fauth"],
)
def test_ids_that_are_none(client: AppClient, job_id: str) -> None:
    """What has not the form of a job id is no job, and no part of a key."""
    assert client.get(f"/v1/jobs/{job_id}").status_code == 404


# -- listing ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_lists_are_paged_newest_first(client: AppClient, limit: int) -> None:
    """Pages make up all jobs, the newest first."""
    sent = [client.post("/v1/jobs", json=body(name=str(n))).json()["id"] for n in range(5)]
    created = {job["id"]: job["created_at"] for job in client.get("/v1/jobs").json()["jobs"]}
    seen: list[str] = []
    cursor: str | None = None
    while True:
        page = client.get(
            "/v1/jobs", params={"limit": limit, **({"cursor": cursor} if cursor else {})}
        ).json()
        seen += [job["id"] for job in page["jobs"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
        assert len(page["jobs"]) == limit
    assert sorted(seen) == sorted(sent)
    times = [created[job_id] for job_id in seen]
    assert times == sorted(times, reverse=True)


def test_lists_by_state(client: AppClient, world: World) -> None:
    """A list can be of jobs in one state."""
    ids = [client.post("/v1/jobs", json=body()).json()["id"] for _ in range(3)]
    world.plan(ids[1], [])
    world.end(ids[1])
    completed = client.get("/v1/jobs?state=completed").json()["jobs"]
    assert [job["id"] for job in completed] == [ids[1]]
    planning = client.get("/v1/jobs?state=planning").json()["jobs"]
    assert {job["id"] for job in planning} == {ids[0], ids[2]}
    is_problem(client.get("/v1/jobs?state=finished"), 422, "invalid_params")


@pytest.mark.parametrize("cursor", ["x", "../../auth", "1-job_1", ""])
def test_odd_list_cursors(client: AppClient, cursor: str) -> None:
    """A cursor that was not given out is refused."""
    is_problem(client.get("/v1/jobs", params={"cursor": cursor}), 422, "invalid_cursor")


# -- changing -----------------------------------------------------------------------------------------
def test_what_is_left_out_stays(client: AppClient, world: World, job_id: str) -> None:
    """A change touches what it names, in storage and in the ledger."""
    client.patch(f"/v1/jobs/{job_id}", json={"priority": 5, "expires_at": "2100-01-01T00:00:00Z"})
    job = client.patch(f"/v1/jobs/{job_id}", json={"paused": True}).json()
    assert (job["paused"], job["priority"]) == (True, 5)
    assert job["expires_at"] == "2100-01-01T00:00:00.000Z"
    assert decision(world, job_id) == Decision(paused=True, priority=5, expires_at=4102444800.0)
    job = client.patch(f"/v1/jobs/{job_id}", json={"expires_at": None}).json()
    assert (job["paused"], job["priority"], job["expires_at"]) == (True, 5, None)


def test_resuming_sets_work_going(client: AppClient, world: World, job_id: str) -> None:
    """A job that is resumed is dispatched at once."""
    client.patch(f"/v1/jobs/{job_id}", json={"paused": True})
    world.sender.queues.clear()
    client.patch(f"/v1/jobs/{job_id}", json={"paused": False})
    assert world.sender.queues == ["work.bulk.cpu"]


@pytest.mark.parametrize(
    "change",
    [{"priority": 101}, {"name": "x"}, {"expires_at": "2001-01-01T00:00:00Z"}, {"expires_at": "soon"}, []],
)
def test_wrong_changes(client: AppClient, job_id: str, change: Any) -> None:
    """A change that is none is refused."""
    is_problem(client.patch(f"/v1/jobs/{job_id}", json=change), 422, "invalid_params")


def test_what_has_ended_stays(client: AppClient, world: World, job_id: str) -> None:
    """An ended job cannot be changed; cancelling it again does no harm."""
    world.plan(job_id, [])
    world.end(job_id)
    is_problem(client.patch(f"/v1/jobs/{job_id}", json={"paused": True}), 409, "illegal_transition")
    answer = client.post(f"/v1/jobs/{job_id}/cancel")
    assert (answer.status_code, answer.json()["state"]) == (200, "completed")


# -- cancelling ---------------------------------------------------------------------------------------
def test_cancelling(client: AppClient, world: World, job_id: str) -> None:
    """A cancellation is in storage and in the ledger when it is answered, and may be repeated."""
    world.sender.queues.clear()
    for _ in range(2):
        answer = client.post(f"/v1/jobs/{job_id}/cancel")
        assert (answer.status_code, answer.json()["state"]) == (202, "cancelling")
        assert answer.json()["error"] is None
    assert decision(world, job_id).cancelled
    view = world.ledger.job(job_id)
    assert view is not None
    assert (view.state, view.reason) == (JobState.CANCELLING, "cancelled")
    assert CONTROL in world.sender.queues


def test_cancelling_what_the_ledger_does_not_know(client: AppClient, world: World, job_id: str) -> None:
    """A job that is not entered yet is cancelled in storage: whoever enters it sees that."""
    world.ledger.forget(job_id)
    answer = client.post(f"/v1/jobs/{job_id}/cancel")
    assert (answer.status_code, answer.json()["state"]) == (202, "cancelling")
    assert decision(world, job_id).cancelled


@pytest.mark.parametrize("when", ["read", "written"])
def test_a_change_beside_a_cancellation(
    client: AppClient, world: World, job_id: str, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """A change that had read its state before a cancellation does not undo it, whoever writes last."""
    real_get, real_put = world.store.get, world.store.put
    key = JobKeys(job_id).decision
    cancelled = False

    def cancel_now() -> None:
        nonlocal cancelled
        cancelled = True
        monkeypatch.setattr(world.store, "get", real_get)
        monkeypatch.setattr(world.store, "put", real_put)
        stale = Decision(paused=True).model_dump_json().encode()
        if when == "written":  # the change's write falls between the canceller's write and its look
            real_cancel = world.ledger.cancel

            def cancel(cancelled_id: str, reason: str, message: str = "") -> None:
                real_put(key, stale)
                real_cancel(cancelled_id, reason, message)

            monkeypatch.setattr(world.ledger, "cancel", cancel)
        assert client.post(f"/v1/jobs/{job_id}/cancel").status_code == 202

    if when == "written":
        cancel_now()
    else:

        def put(put_key: str, data: bytes, **more: Any) -> None:
            if put_key == key and not cancelled:
                cancel_now()  # between the change's read and its write
            real_put(put_key, data, **more)

        monkeypatch.setattr(world.store, "put", put)
        assert client.patch(f"/v1/jobs/{job_id}", json={"paused": True}).status_code == 200
    assert cancelled
    assert decision(world, job_id).cancelled
    assert decision(world, job_id).paused


# -- deleting -----------------------------------------------------------------------------------------
def test_deleting(client: AppClient, world: World, job_id: str) -> None:
    """An ended job can be deleted: it is gone for its owner, and the steward finds what to do."""
    is_problem(client.delete(f"/v1/jobs/{job_id}"), 409, "job_not_finished")
    world.plan(job_id, [])
    world.end(job_id)
    answer = client.delete(f"/v1/jobs/{job_id}")
    assert (answer.status_code, answer.content) == (202, b"")
    for path in ("", "/results", "/events", "/report"):
        is_problem(client.get(f"/v1/jobs/{job_id}{path}"), 404, "job_not_found")
    is_problem(client.delete(f"/v1/jobs/{job_id}"), 404, "job_not_found")
    assert client.get("/v1/jobs").json()["jobs"] == []
    assert decision(world, job_id).deleted
    assert world.keys("active/") == [f"active/{job_id}"]


def test_deleted_altogether(client: AppClient, world: World, job_id: str) -> None:
    """Once its objects are gone a job stays unknown, though this process had seen it."""
    client.get(f"/v1/jobs/{job_id}")
    world.plan(job_id, [])
    world.end(job_id)
    client.delete(f"/v1/jobs/{job_id}")
    world.store.delete(world.keys(f"jobs/{job_id}/"))
    is_problem(client.get(f"/v1/jobs/{job_id}"), 404, "job_not_found")
