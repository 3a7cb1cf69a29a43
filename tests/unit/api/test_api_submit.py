from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from pipeline.core import artifact
from pipeline.core.artifact import digest_of
from pipeline.core.errors import StorageUnavailable
from pipeline.core.jobs import Decision, JobSpec, JobState, job_id_for
from pipeline.core.keys import JobKeys
from pipeline.core.ledger import CONTROL, Beat
from tests.unit.api.client import AppClient, is_problem
from tests.unit.api.world import World, body


def spec_of(world: World, job_id: str) -> JobSpec:
    return JobSpec.model_validate_json(world.store.get(JobKeys(job_id).spec))


class Dies(Exception):
    """The process is killed here."""


def dying_put(world: World, nth: int) -> Callable[..., None]:
    """A put that stores nothing from the nth call on."""
    real, calls = world.store.put, 0

    def put(key: str, data: bytes, **more: Any) -> None:
        nonlocal calls
        calls += 1
        if calls >= nth:
            raise Dies
        real(key, data, **more)

    return put


def test_a_job_is_stored_and_entered(client: AppClient, world: World) -> None:
    """A job that was accepted is in storage, in the index, among the active and in the ledger."""
    answer = client.post(
        "/v1/jobs",
        json=body("sleep", {"seconds": 1}, name="n", priority=7),
        headers={"X-Request-Id": "req-1"},
    )
    assert answer.status_code == 202
    job = answer.json()
    assert answer.headers["location"] == f"/v1/jobs/{job['id']}"
    assert (job["state"], job["name"], job["priority"]) == ("accepted", "n", 7)
    spec = spec_of(world, job["id"])
    assert (spec.owner, spec.request_id, spec.queue) == ("local", "req-1", "work.bulk.cpu")
    assert spec.steps[0].params == {"seconds": 1}
    assert world.keys("active/") == [f"active/{job['id']}"]
    assert [key.endswith(job["id"]) for key in world.keys("index/local/")] == [True]
    view = world.ledger.job(job["id"])
    assert view is not None
    assert (view.state, view.priority, view.operation) == (JobState.ACCEPTED, 7, "sleep")
    assert world.sender.queues == [CONTROL]


def test_what_was_decided_at_once(client: AppClient, world: World) -> None:
    """Paused, priority and expiry given with the request are decisions like later ones."""
    request = body(paused=True, priority=-5, expires_at="2100-01-01T00:00:00+01:00")
    job = client.post("/v1/jobs", json=request).json()
    decision = Decision.model_validate_json(world.store.get(JobKeys(job["id"]).decision))
    assert (decision.paused, decision.priority, decision.expires_at) == (True, -5, 4102441200.0)
    assert (job["paused"], job["priority"], job["expires_at"]) == (True, -5, "2099-12-31T23:00:00.000Z")
    assert client.get(f"/v1/jobs/{job['id']}").json() == job


@pytest.mark.parametrize("nth", [1, 2, 3, 4])
def test_killed_in_between(
    client: AppClient, world: World, monkeypatch: pytest.MonkeyPatch, nth: int
) -> None:
    """Killed before any put, a submission can be repeated, and is complete then."""
    headers = {"Idempotency-Key": "again"}
    with monkeypatch.context() as patch:
        patch.setattr(world.store, "put", dying_put(world, nth))
        assert client.post("/v1/jobs", json=body(paused=True), headers=headers).status_code == 500
    stored = nth == 4
    if nth > 1:
        assert world.keys("active/"), "the steward finds it here, whatever else is missing"
    answer = client.post("/v1/jobs", json=body(paused=True), headers=headers)
    assert answer.status_code == (200 if stored else 202)
    job_id = answer.json()["id"]
    assert job_id == job_id_for("local", "again")
    view = world.ledger.job(job_id)
    assert view is not None
    assert view.paused
    assert client.get("/v1/jobs").json()["jobs"][0]["id"] == job_id


def test_killed_before_the_ledger_knew(
    client: AppClient, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job that is stored but not entered shows as accepted, and a repeated request enters it."""

    def die(job: object) -> bool:
        raise Dies

    headers = {"Idempotency-Key": "again"}
    with monkeypatch.context() as patch:
        patch.setattr(world.ledger, "enter", die)
        assert client.post("/v1/jobs", json=body(), headers=headers).status_code == 500
    job_id = job_id_for("local", "again")
    assert client.get(f"/v1/jobs/{job_id}").json()["state"] == "accepted"
    assert world.ledger.job(job_id) is None
    assert client.post("/v1/jobs", json=body(), headers=headers).status_code == 200
    assert world.ledger.job(job_id) is not None


def test_the_broker_may_be_down(client: AppClient, world: World) -> None:
    """Once a job is stored it is accepted; the steward enters what the API could not."""
    world.sender.down = True
    answer = client.post("/v1/jobs", json=body())
    assert answer.status_code == 202
    assert world.keys("active/") == [f"active/{answer.json()['id']}"]


def test_the_store_may_not(client: AppClient, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be stored is not accepted."""

    def refuse(key: str, data: bytes, **more: Any) -> None:
        raise StorageUnavailable("no answer")

    monkeypatch.setattr(world.store, "put", refuse)
    is_problem(client.post("/v1/jobs", json=body()), 503, "storage_unavailable")


def test_repeating_is_harmless(client: AppClient, world: World) -> None:
    """The same key with the same request is the same job, however it is written."""
    headers = {"Idempotency-Key": "k" * 255}
    first = client.post("/v1/jobs", json=body(name="n"), headers=headers)
    reordered = json.dumps(dict(reversed(body(name="n").items())), indent=3).encode()
    again = client.post(
        "/v1/jobs", content=reordered, headers={**headers, "Content-Type": "application/json"}
    )
    assert (first.status_code, again.status_code) == (202, 200)
    assert again.json() == first.json()
    assert len(world.keys("index/")) == 1


def test_another_request_under_the_same_key(client: AppClient) -> None:
    """The same key with another request is refused."""
    headers = {"Idempotency-Key": "k"}
    client.post("/v1/jobs", json=body(), headers=headers)
    is_problem(client.post("/v1/jobs", json=body(name="x"), headers=headers), 422, "idempotency_mismatch")


@pytest.mark.parametrize("key", ["", "k" * 256])
def test_idempotency_keys_have_a_length(client: AppClient, key: str) -> None:
    """1 to 255 characters."""
    answer = client.post("/v1/jobs", json=body(), headers={"Idempotency-Key": key})
    is_problem(answer, 422, "invalid_params")


def test_repeating_after_the_end(client: AppClient, world: World) -> None:
    """A request repeated after its job has ended begins nothing."""
    headers = {"Idempotency-Key": "k"}
    job_id = client.post("/v1/jobs", json=body(), headers=headers).json()["id"]
    world.plan(job_id, [])
    world.end(job_id)
    world.ledger.forget(job_id)
    answer = client.post("/v1/jobs", json=body(), headers=headers)
    assert (answer.status_code, answer.json()["state"]) == (200, "completed")
    assert world.ledger.job(job_id) is None
    assert not world.keys("active/")


def test_repeating_after_deletion(client: AppClient, world: World) -> None:
    """A job that is being deleted is not brought back; its key is free once it is gone."""
    headers = {"Idempotency-Key": "k"}
    job_id = client.post("/v1/jobs", json=body(), headers=headers).json()["id"]
    world.plan(job_id, [])
    world.end(job_id)
    assert client.delete(f"/v1/jobs/{job_id}").status_code == 202
    is_problem(client.post("/v1/jobs", json=body(), headers=headers), 409, "conflict")
    world.store.delete(world.keys(f"jobs/{job_id}/"))
    answer = client.post("/v1/jobs", json=body("noop"), headers=headers)
    assert answer.status_code == 202
    assert client.get(f"/v1/jobs/{job_id}").json()["steps"][0]["operation"] == "noop"


def test_several_steps(client: AppClient, world: World) -> None:
    """They are kept as they were sent; all that they need is pinned."""
    steps = [
        {"operation": "stylize", "params": {"styles": ["wave"], "model": "fast"}},
        {"operation": "compress", "params": {"quality": 60}},
    ]
    job = client.post("/v1/jobs", json={**body(), "steps": steps})
    assert job.status_code == 202
    assert job.json()["steps"] == steps
    spec = JobSpec.model_validate_json(world.store.get(JobKeys(job.json()["id"]).spec))
    assert set(spec.artifacts) == {"stylization_fast", "compression"}


@pytest.mark.parametrize(
    ("own", "field"),
    [
        ([{}, {"quality": 101}], "steps.1.quality"),
        ([{}, {}, {}], "steps"),
        ([{"model": "standard"}, {}], "steps.0.model"),  # the job has pinned the fast one
    ],
)
def test_an_items_params_in_several_steps(client: AppClient, own: list[dict[str, Any]], field: str) -> None:
    """Are held to those steps, and to what each has pinned, though another step may have pinned it."""
    steps = [
        {"operation": "stylize", "params": {"styles": ["wave"], "model": "fast"}},
        {"operation": "compress"},
    ]
    items = [{"custom_id": "1", "input": "owners/local/in/1.jpg", "params": {"steps": own}}]
    request = {**body(), "steps": steps, "inputs": {"kind": "items", "items": items}}
    problem = is_problem(client.post("/v1/jobs", json=request), 422, "invalid_params")
    assert [error["field"] for error in problem["errors"]] == [f"inputs.items.0.params.{field}"]
    both = [steps[0], {**steps[0], "params": {"styles": ["wave"]}}]
    if field == "steps.0.model":
        is_problem(client.post("/v1/jobs", json={**request, "steps": both}), 422, "invalid_params")


@pytest.mark.parametrize(
    ("second", "code", "field"),
    [
        ({"operation": "compress", "params": {"quality": 101}}, "invalid_params", "steps.1.params.quality"),
        (
            {"operation": "describe", "params": {"language": "de"}},
            "invalid_params",
            "steps.1.params.language",
        ),
        ({"operation": "describe", "params": {"model": "none"}}, "invalid_params", "steps.1.params.model"),
        ({"operation": "search", "params": {"text": "x"}}, "unsupported_steps", None),
        ({"operation": "paint"}, "unknown_operation", None),
    ],
)
def test_a_wrong_second_step(
    client: AppClient, world: World, second: dict[str, Any], code: str, field: str | None
) -> None:
    """Is named by its place, and nothing is stored."""
    steps = [{"operation": "stylize", "params": {"styles": ["wave"]}}, second]
    problem = is_problem(client.post("/v1/jobs", json={**body(), "steps": steps}), 422, code)
    if field is not None:
        assert [error["field"] for error in problem["errors"]] == [field]
    assert not world.keys("jobs/")


def test_unknown_operations(client: AppClient) -> None:
    """An operation that is none is refused, with those that are."""
    document = is_problem(client.post("/v1/jobs", json=body("enlarge")), 422, "unknown_operation")
    assert "compress" in document["detail"]


@pytest.mark.parametrize(
    ("operation", "params", "message"),
    [
        ("compress", {"quality": 50, "max_bytes": 1000}, "not quality and max_bytes together"),
        ("compress", {"max_bytes": 1000, "min_psnr_db": 30}, "not max_bytes and min_psnr_db together"),
        ("compress", {"max_bytes": 0}, "greater than or equal to 1"),
        ("compress", {"keep": ["gps"]}, "'icc' or 'exif'"),
        ("decompress", {"region": [0, 0, 8, 8], "reduced": True}, "region or reduced, not both"),
        ("decompress", {"region": [0, 0, 8, 0]}, "greater than or equal to 1"),
    ],
)
def test_params_that_contradict_each_other(
    client: AppClient, operation: str, params: dict[str, Any], message: str
) -> None:
    """422 before anything is stored, and the field's error says what to do."""
    problem = is_problem(client.post("/v1/jobs", json=body(operation, params)), 422, "invalid_params")
    assert problem["errors"][0]["field"].startswith("steps.0.params")
    assert message in problem["errors"][0]["message"]


@pytest.mark.parametrize(
    ("inputs", "accepted"),
    [
        ({"kind": "keys", "keys": ["k"] * 8}, True),
        ({"kind": "keys", "keys": ["k"] * 9}, False),
        ({"kind": "items", "items": [{"custom_id": "1", "input": "k"}]}, True),
        ({"kind": "items", "items": [{"custom_id": str(i), "input": "k"} for i in range(9)]}, False),
        ({"kind": "prefix", "prefix": "in/"}, False),
        ({"kind": "manifest", "key": "m.jsonl"}, False),
    ],
)
def test_interactive_jobs_are_small(client: AppClient, inputs: dict[str, Any], accepted: bool) -> None:
    """The interactive class takes 8 items at most, and only where the request says how many there are."""
    answer = client.post("/v1/jobs", json=body(inputs=inputs, **{"class": "interactive"}))
    if accepted:
        assert answer.status_code == 202
        assert answer.json()["queue"] == "work.interactive.cpu"
    else:
        document = is_problem(answer, 422, "invalid_params")
        assert [error["field"] for error in document["errors"]] == ["class"]


@pytest.mark.parametrize(("files", "status"), [(8, 202), (9, 422)])
def test_interactive_uploads_are_small(client: AppClient, files: int, status: int) -> None:
    """So do uploads."""
    declared = {"files": [{"name": str(i), "size_bytes": 1} for i in range(files)]}
    upload_id = client.post("/v1/uploads", json=declared).json()["upload_id"]
    request = body(inputs={"kind": "upload", "upload_id": upload_id}, **{"class": "interactive"})
    assert client.post("/v1/jobs", json=request).status_code == status


def test_items_are_checked(client: AppClient) -> None:
    """Of items in the request, ids must differ and params must be the operation's, each over the step's."""
    items = [
        {"custom_id": "a", "input": "1", "params": {"seconds": 2}},
        {"custom_id": "a", "input": "2"},
        {"custom_id": "c", "input": "3", "params": {"seconds": -1}},
        {"custom_id": "d", "input": "4", "params": {"quality": 1}},
    ]
    answer = client.post("/v1/jobs", json=body("sleep", inputs={"kind": "items", "items": items}))
    document = is_problem(answer, 422, "invalid_params")
    assert [error["field"] for error in document["errors"]] == [
        "inputs.items.1.custom_id",
        "inputs.items.2.params.seconds",
        "inputs.items.3.params.quality",
    ]


def test_keys_are_taken_in_their_normal_form(client: AppClient, world: World) -> None:
    """Of two ways to write a letter, the composed one counts."""
    decomposed = "in/cafe\u0301.jpg"
    job_id = client.post("/v1/jobs", json=body(inputs={"kind": "keys", "keys": [decomposed]})).json()["id"]
    assert spec_of(world, job_id).inputs.model_dump()["keys"] == ["in/caf\u00e9.jpg"]


def test_an_expiry_must_be_to_come(client: AppClient) -> None:
    """A job cannot expire before it was sent."""
    document = is_problem(
        client.post("/v1/jobs", json=body(expires_at="2001-01-01T00:00:00Z")), 422, "invalid_params"
    )
    assert document["errors"][0]["field"] == "expires_at"


def test_a_gpu_where_there_is_one(client: AppClient, world: World) -> None:
    """`auto` is a GPU where a worker that has one knows the operation, else a CPU."""
    assert client.post("/v1/jobs", json=body()).json()["queue"] == "work.bulk.cpu"
    world.ledger.beat(Beat("gpu", ("work.bulk.cuda",), 4, ("copy",), "cuda"))
    assert client.post("/v1/jobs", json=body()).json()["queue"] == "work.bulk.cuda"
    assert client.post("/v1/jobs", json=body("sleep")).json()["queue"] == "work.bulk.cpu"
    assert client.post("/v1/jobs", json=body(device="cpu")).json()["queue"] == "work.bulk.cpu"


def test_artifacts_are_pinned(
    client: AppClient, world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    """A job is pinned to the artifact that is built in when it is accepted."""
    monkeypatch.setattr(artifact, "BUILT_IN", tmp_path)
    is_problem(client.post("/v1/jobs", json=body("compress")), 500, "fault")
    (tmp_path / "compression").mkdir()
    (tmp_path / "compression" / "manifest.json").write_bytes(b"{}")
    job_id = client.post("/v1/jobs", json=body("compress")).json()["id"]
    assert spec_of(world, job_id).artifacts == {"compression": digest_of(b"{}")}
