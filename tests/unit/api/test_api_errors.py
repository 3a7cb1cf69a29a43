from __future__ import annotations

import pytest

from api.errors import STATUS, status_of
from pipeline.core import errors
from pipeline.core.errors import StorageUnavailable, leaves
from tests.unit.api.client import AppClient, is_problem
from tests.unit.api.world import World, body

REFUSED = {
    errors.InvalidInput: 422,
    errors.BodyTooLarge: 413,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.JobNotFound: 404,
    errors.IllegalTransition: 409,
    errors.IdempotencyMismatch: 422,
    errors.StorageUnavailable: 503,
    errors.BrokerUnavailable: 503,
    errors.WorkerLost: 500,
}


def test_every_error_has_a_status() -> None:
    """Every class of the error tree has a row in the table, its own or its branch's."""
    for leaf in leaves():
        assert 400 <= status_of(leaf) <= 599
        branch = next(parent for parent in leaf.__mro__ if parent in STATUS)
        assert branch is not errors.TriptychError or leaf is errors.TriptychError, leaf


@pytest.mark.parametrize(
    ("error", "status"), REFUSED.items(), ids=lambda value: getattr(value, "code", value)
)
def test_statuses(error: type[errors.TriptychError], status: int) -> None:
    """An error's status says whose doing it is, and what helps."""
    assert status_of(error) == status


def test_wrong_fields_are_named(client: AppClient) -> None:
    """A body with wrong fields gets 422 with each field, and nothing of what was sent."""
    answer = client.post(
        "/v1/jobs", json={"steps": [], "inputs": {"kind": "keys", "keys": ["x"]}, "zzz": "hush"}
    )
    document = is_problem(answer, 422, "invalid_params")
    assert {error["field"] for error in document["errors"]} == {"steps", "zzz"}
    assert "hush" not in answer.text


def test_wrong_params_are_named(client: AppClient) -> None:
    """Params that an operation does not take are named by their place in the request."""
    answer = client.post("/v1/jobs", json=body("sleep", {"seconds": -1}))
    document = is_problem(answer, 422, "invalid_params")
    assert [error["field"] for error in document["errors"]] == ["steps.0.params.seconds"]


@pytest.mark.parametrize("content", [b"", b"{", b'"text"', b"\xff\xfe", b"\xc0", b"[" * 100_000, b"[1]"])
def test_bodies_that_are_no_json_object(client: AppClient, content: bytes) -> None:
    """A body that is no JSON object gets 422."""
    answer = client.post("/v1/jobs", content=content, headers={"Content-Type": "application/json"})
    is_problem(answer, 422, "invalid_params")


def test_json_by_another_name(client: AppClient) -> None:
    """JSON that a page's form may send as plain text is not read."""
    answer = client.post("/v1/jobs", content=b"{}", headers={"Content-Type": "text/plain"})
    is_problem(answer, 422, "invalid_params")


def test_unknown_path(client: AppClient) -> None:
    """A path that is none gets 404."""
    is_problem(client.get("/v2/jobs"), 404, "not_found")


def test_wrong_method(client: AppClient) -> None:
    """A method that a path does not take gets 405 and is told others."""
    answer = client.put("/v1/jobs", json={})
    is_problem(answer, 405, "method_not_allowed")
    assert answer.headers["allow"]


def test_a_crash_leaks_nothing(client: AppClient, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unexpected exception becomes a 500 that says nothing of it."""

    def crash(job_id: str) -> None:
        raise RuntimeError("the password is swordfish")

    monkeypatch.setattr(world.ledger, "job", crash)
    answer = client.get(f"/v1/jobs/job_{'0' * 32}", headers={"X-Request-Id": "asked-by-me"})
    assert is_problem(answer, 500, "internal_error")["request_id"] == "asked-by-me"
    assert "swordfish" not in answer.text


def test_what_passes_says_so(client: AppClient, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store out of reach is a 503 with Retry-After, and its address stays ours."""

    def unreachable(job_id: str) -> None:
        raise StorageUnavailable("10.1.2.3 did not answer")

    monkeypatch.setattr(world.ledger, "job", unreachable)
    answer = client.get(f"/v1/jobs/job_{'0' * 32}")
    is_problem(answer, 503, "storage_unavailable")
    assert answer.headers["retry-after"] == "1"
    assert "10.1.2.3" not in answer.text


@pytest.mark.parametrize("given", ["", "two words", "x" * 129, "line\tbreak"])
def test_odd_request_ids_are_replaced(client: AppClient, given: str) -> None:
    """Only plain request ids are taken over: they go to logs and into job.json."""
    answer = client.get("/healthz", headers={"X-Request-Id": given})
    assert answer.headers["x-request-id"] not in ("", given)
