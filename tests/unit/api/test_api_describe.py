"""Describing through the API: what cannot be done is a 422 that says so; terms; jobs are searched."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from api import search as searching
from pipeline.core.endpoint import Endpoint
from pipeline.core.jobs import JobSpec, JobState, ResultLine
from pipeline.core.keys import JobKeys, index_prefix
from pipeline.core.settings import Settings
from tests.support.describe import published
from tests.unit.api.client import AppClient, is_problem
from tests.unit.api.world import World, bad, body, good

KEYS = {"kind": "keys", "keys": ["owners/local/in/1.jpg"]}
HITS = {"hits": [{"index": 2, "score": 0.5}, {"index": 0, "score": 0.25}], "rows": 3, "model": "d" * 64}


def describe(params: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return body("describe", {"model": "colours", **params}, **{"inputs": KEYS, **fields})


@pytest.mark.parametrize(
    ("params", "field", "words"),
    [
        ({"language": "de"}, "language", "the model 'colours' writes en, zh, not 'de'"),
        ({"preset": "detailed"}, "preset", "not 'detailed'"),
        ({"prompt": "Why?"}, "prompt", "takes no prompt"),
        ({"max_tokens": 99}, "max_tokens", "60 tokens at most"),
        ({"beams": 5}, "beams", "4 beams at most"),
        ({"model": "remote"}, "model", "no remote endpoint is set up"),
        ({"model": "nobody"}, "model", "no artifact 'nobody'"),
        ({"prompt": "x" * 3000}, "prompt", "2000 characters"),
        ({"language": "english"}, "language", "pattern"),
    ],
)
def test_what_cannot_be_done(
    client: AppClient, world: World, params: dict[str, Any], field: str, words: str
) -> None:
    """422, the field, and a sentence; nothing is stored of it."""
    published(world.store)
    problem = is_problem(client.post("/v1/jobs", json=describe(params)), 422, "invalid_params")
    assert [error["field"] for error in problem["errors"]] == [f"steps.0.params.{field}"]
    assert words in problem["errors"][0]["message"]
    assert not world.keys("jobs/")


def test_single_items_are_held_to_it_too(client: AppClient, world: World) -> None:
    published(world.store, embedding=False)
    items = [
        {"custom_id": "1", "input": "owners/local/1.jpg", "params": {"language": "zh"}},
        {"custom_id": "2", "input": "owners/local/2.jpg", "params": {"embedding": True}},
        {"custom_id": "3", "input": "owners/local/3.jpg", "params": {"model": "description"}},
    ]
    answer = client.post("/v1/jobs", json=describe({}, inputs={"kind": "items", "items": items}))
    problem = is_problem(answer, 422, "invalid_params")
    assert [error["field"] for error in problem["errors"]] == [
        "inputs.items.1.params.embedding",
        "inputs.items.2.params.model",
    ]


def test_an_imported_model_is_pinned(client: AppClient, world: World) -> None:
    """The one that was published last; a remote one pins nothing."""
    published(world.store, beams=1)
    time.sleep(0.01)
    newest = published(world.store)
    job = client.post("/v1/jobs", json=describe({"language": "zh"})).json()
    spec = JobSpec.model_validate_json(world.store.get(JobKeys(job["id"]).spec))
    assert spec.artifacts == {"colours": newest}


def test_a_remote_model_is_pinned_by_nothing(
    client: AppClient, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Settings, "endpoint", Endpoint("https://models.example", "m"))
    answer = client.post("/v1/jobs", json=describe({"model": "remote", "prompt": "Why?"}))
    assert answer.status_code == 202
    spec = JobSpec.model_validate_json(world.store.get(JobKeys(answer.json()["id"]).spec))
    assert spec.artifacts == {}
    is_problem(client.post("/v1/jobs", json=describe({"model": "remote", "beams": 2})), 422, "invalid_params")


def test_sounds_out_of_reach(ann: AppClient, world: World) -> None:
    """A sound beside a picture is held to the same prefixes as inputs."""
    published(world.store)
    inputs = {"kind": "keys", "keys": ["owners/ann/in/1.jpg"]}
    request = describe({"audio": "owners/bob/secret.wav"}, inputs=inputs)
    is_problem(ann.post("/v1/jobs", json=request), 403, "forbidden")
    request = describe({"audio": "owners/ann/own.wav"}, inputs=inputs)
    assert ann.post("/v1/jobs", json=request).status_code == 202


# -- terms --------------------------------------------------------------------------------------------
def test_terms_are_shown(client: AppClient) -> None:
    """For every operation with a model of ours."""
    for name in ("compress", "stylize"):
        shown = client.get(f"/v1/operations/{name}").json()
        assert set(shown["terms"]) == set(shown["artifacts"])
        (terms,) = shown["terms"].values()
        assert "research" in terms["licence"]
        assert terms["data_sets"]


@pytest.mark.parametrize(
    ("allowed", "status"),
    [
        ("", 202),
        ("MIT", 403),
        ("mit, Non-commercial research use", 202),
        ("weights: non-commercial research use", 202),
    ],
)
def test_terms_can_be_refused(
    client: AppClient, world: World, monkeypatch: pytest.MonkeyPatch, allowed: str, status: int
) -> None:
    """By the licences that an operator allows; the message names the model and its licence."""
    monkeypatch.setattr(Settings, "allowed_terms", [one.strip() for one in allowed.split(",") if one])
    answer = client.post("/v1/jobs", json=body("compress", {}, inputs=KEYS))
    assert answer.status_code == status
    if status == 403:
        problem = is_problem(answer, 403, "terms_not_allowed")
        assert "'compression' is under 'weights: non-commercial research use'" in problem["detail"]
        published(world.store)
        assert client.post("/v1/jobs", json=describe({})).status_code == 202  # it is under MIT


# -- search -------------------------------------------------------------------------------------------
def described(client: AppClient, world: World, *, embeddings: bool = True) -> str:
    """A job of three items that has ended, the second one failed."""
    published(world.store)
    job_id: str = client.post("/v1/jobs", json=describe({"embedding": True})).json()["id"]
    world.plan(job_id, [["a.jpg", "b.jpg"], ["c.jpg"]])
    lines = [good(0, "a.jpg"), bad(1, "b.jpg"), good(2, "c.jpg", "out/c.txt")]
    said = [line.model_copy(update={"receipt": {"text": f"Text {line.index}."}}) for line in lines]
    world.finish(job_id, "0", said[:2])
    world.finish(job_id, "1", said[2:])
    if embeddings:
        world.store.put(JobKeys(job_id).gathered("embedding"), b"rows")
    world.end(job_id)
    return job_id


class Worker:
    """Plays the workers' part for searches, in a thread of its own."""

    def __init__(self, world: World, line: ResultLine) -> None:
        self._world, self._line = world, line
        self.specs: list[JobSpec] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join(10)

    def _work(self) -> None:
        while not self._stop.wait(0.01):
            for key in self._world.keys("active/"):
                job_id = key.removeprefix("active/")
                view = self._world.ledger.job(job_id)
                if view is not None and view.state is JobState.ACCEPTED and view.operation == "search":
                    self._serve(job_id)

    def _serve(self, job_id: str) -> None:
        spec = JobSpec.model_validate_json(self._world.store.get(JobKeys(job_id).spec))
        self.specs.append(spec)
        self._world.plan(job_id, [["rows"]])
        self._world.finish(job_id, "0", [self._line], queue=spec.queue)
        self._world.end(job_id)


@pytest.fixture
def worker(world: World) -> Iterator[Worker]:
    line = good(0, "rows").model_copy(update={"receipt": HITS})
    found = Worker(world, line)
    yield found
    found.close()


def test_a_search(client: AppClient, world: World, worker: Worker) -> None:
    """Hits with their items; one interactive job with the very model, which leaves nothing in the list."""
    job_id = described(client, world)
    answer = client.post(f"/v1/jobs/{job_id}/search", json={"text": "a red thing", "limit": 2})
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert found["rows"] == 3
    assert [(hit["index"], hit["custom_id"], hit["text"], hit["score"]) for hit in found["hits"]] == [
        (2, "c.jpg", "Text 2.", 0.5),
        (0, "a.jpg", "Text 0.", 0.25),
    ]
    assert found["hits"][0]["output"] == "out/c.txt"
    (spec,) = worker.specs
    assert spec.queue == "work.interactive.cpu"
    assert spec.steps[0].params == {"text": "a red thing", "limit": 2, "model": "colours"}
    assert list(spec.artifacts) == ["colours"]
    assert spec.inputs.model_dump() == {"kind": "keys", "keys": [f"jobs/{job_id}/embedding.npy"]}
    assert [job["id"] for job in client.get("/v1/jobs").json()["jobs"]] == [job_id]
    assert len(world.keys(index_prefix("local"))) == 1


def test_searches_that_fail(client: AppClient, world: World) -> None:
    """The item's own error is the answer."""
    error = {"code": "unsupported_by_model", "message": "the model has no embeddings"}
    worker = Worker(world, ResultLine(index=0, custom_id="rows", status="failed", error=error))
    try:
        answer = client.post(f"/v1/jobs/{described(client, world)}/search", json={"text": "x"})
        assert is_problem(answer, 422, "unsupported_by_model")["detail"] == "the model has no embeddings"
    finally:
        worker.close()


def test_a_search_that_nobody_answers(
    client: AppClient, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """503 after a while, and the search's job is cancelled."""
    monkeypatch.setattr(searching, "WAIT_S", 0.1)
    job_id = described(client, world)
    answer = client.post(f"/v1/jobs/{job_id}/search", json={"text": "x"})
    is_problem(answer, 503, "search_unanswered")
    (left,) = world.keys("active/")
    view = world.ledger.job(left.removeprefix("active/"))
    assert view is None or view.state in (JobState.CANCELLING, JobState.CANCELLED)


def test_jobs_that_cannot_be_searched(client: AppClient, world: World) -> None:
    """Not ended; without embeddings; of another kind; nobody's."""
    published(world.store)
    running = client.post("/v1/jobs", json=describe({"embedding": True})).json()["id"]
    is_problem(client.post(f"/v1/jobs/{running}/search", json={"text": "x"}), 409, "job_not_finished")
    bare = described(client, world, embeddings=False)
    problem = is_problem(client.post(f"/v1/jobs/{bare}/search", json={"text": "x"}), 422, "invalid_input")
    assert "embedding=true" in problem["detail"]
    nobody = f"/v1/jobs/job_{'0' * 32}/search"
    is_problem(client.post(nobody, json={"text": "x"}), 404, "job_not_found")


def test_others_jobs_cannot_be_searched(ann: AppClient, bob: AppClient, world: World) -> None:
    published(world.store)
    inputs = {"kind": "keys", "keys": ["owners/ann/in/1.jpg"]}
    job_id = ann.post("/v1/jobs", json=describe({"embedding": True}, inputs=inputs)).json()["id"]
    is_problem(bob.post(f"/v1/jobs/{job_id}/search", json={"text": "x"}), 404, "job_not_found")


@pytest.mark.parametrize(
    "wrong", [{}, {"text": ""}, {"text": "  "}, {"text": "x" * 501}, {"text": "x", "limit": 0}]
)
def test_wrong_searches(client: AppClient, world: World, wrong: dict[str, Any]) -> None:
    job_id = described(client, world)
    is_problem(client.post(f"/v1/jobs/{job_id}/search", json=wrong), 422, "invalid_params")


def test_the_matrix_is_out_of_users_reach(client: AppClient, world: World) -> None:
    """The operation `search` takes matrices of users' own, never those under jobs/."""
    job_id = described(client, world)
    inputs = {"kind": "keys", "keys": [f"jobs/{job_id}/embedding.npy"]}
    request = body("search", {"text": "x", "model": "colours"}, inputs=inputs)
    is_problem(client.post("/v1/jobs", json=request), 403, "forbidden")
