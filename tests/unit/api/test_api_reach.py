"""Two owners: what is Ann's, Bob neither reads nor sees, whatever the form of the inputs."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.api.client import AppClient, is_problem
from tests.unit.api.world import World, body

RESERVED = ["jobs/job_1/job.json", "auth/x.json", "active/x", "artifacts/x", "index/ann/x"]
MALFORMED = ["/owners/ann/x", "owners/ann/../bob/x", "owners/ann//x", "owners/ann/./x", "owners/ann/\x07"]


def inputs_with(kind: str, key: str) -> dict[str, Any]:
    """Inputs of a kind that lie at a key."""
    return {
        "keys": {"kind": "keys", "keys": [key]},
        "prefix": {"kind": "prefix", "prefix": key},
        "manifest": {"kind": "manifest", "key": key},
        "items": {"kind": "items", "items": [{"custom_id": "1", "input": key}]},
    }[kind]


KINDS = ["keys", "prefix", "manifest", "items"]


def upload(client: AppClient) -> str:
    answer = client.post("/v1/uploads", json={"files": [{"name": "1.jpg", "size_bytes": 3}]})
    assert answer.status_code == 201
    upload_id: str = answer.json()["upload_id"]
    return upload_id


@pytest.mark.parametrize("kind", KINDS)
def test_own_inputs(ann: AppClient, kind: str) -> None:
    """What lies under one's own prefix may be used."""
    answer = ann.post("/v1/jobs", json=body(inputs=inputs_with(kind, "owners/ann/in/")))
    assert answer.status_code == 202, answer.text


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("key", ["owners/ann/in/1.jpg", "owners/bobby/x", "elsewhere/x", *RESERVED])
def test_inputs_out_of_reach(bob: AppClient, world: World, kind: str, key: str) -> None:
    """What lies elsewhere may not, whether it is there or not; nothing is stored of the attempt."""
    answer = bob.post("/v1/jobs", json=body(inputs=inputs_with(kind, key)))
    is_problem(answer, 403, "forbidden")
    assert not world.keys("jobs/")
    assert not world.keys("active/")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("key", MALFORMED)
def test_malformed_keys(ann: AppClient, kind: str, key: str) -> None:
    """A key that is not in its plainest form is refused, wherever it leads."""
    is_problem(ann.post("/v1/jobs", json=body(inputs=inputs_with(kind, key))), 422, "invalid_input")


@pytest.mark.parametrize("prefix", ["j", "jobs", "a", "active/", "auth/", "owners", "owners/", "owners/ann"])
def test_prefixes_are_in_reach_altogether(ann: AppClient, prefix: str) -> None:
    """A prefix must lie within what the key reads, not merely begin like it."""
    is_problem(ann.post("/v1/jobs", json=body(inputs=inputs_with("prefix", prefix))), 403, "forbidden")


@pytest.mark.parametrize("prefix", ["j", "jobs", "a", "artifacts/x", "ind"])
def test_no_prefix_reaches_into_ours(client: AppClient, prefix: str) -> None:
    """Without keys everything may be read, but for what Triptych keeps for itself."""
    is_problem(client.post("/v1/jobs", json=body(inputs=inputs_with("prefix", prefix))), 403, "forbidden")


def test_uploads_are_ones_own(ann: AppClient, bob: AppClient) -> None:
    """Another owner's upload is not found: not as input, not as a page, not as a place to put bytes."""
    theirs = upload(ann)
    answer = bob.post("/v1/jobs", json=body(inputs={"kind": "upload", "upload_id": theirs}))
    is_problem(answer, 404, "upload_not_found")
    is_problem(bob.get(f"/v1/uploads/{theirs}/pages/0"), 404, "upload_not_found")
    is_problem(bob.put(f"/v1/uploads/{theirs}/files/0/0", content=b"abc"), 404, "upload_not_found")
    files = {"files": [{"name": "2.jpg", "size_bytes": 3}]}
    is_problem(bob.post(f"/v1/uploads/{theirs}/pages/1", json=files), 404, "upload_not_found")
    assert ann.post("/v1/jobs", json=body(inputs={"kind": "upload", "upload_id": theirs})).status_code == 202


@pytest.mark.parametrize("upload_id", ["upl_1", "../../ann", "upl_" + "0" * 31 + "/", ""])
def test_upload_ids_are_no_paths(ann: AppClient, upload_id: str) -> None:
    """An upload id becomes a part of keys, so only its plain form is one."""
    answer = ann.post("/v1/jobs", json=body(inputs={"kind": "upload", "upload_id": upload_id}))
    is_problem(answer, 404, "upload_not_found")


@pytest.mark.parametrize("prefix", ["owners/bob/out/", "owners/bobby", "jobs/x/", "auth", "out/"])
def test_outputs_out_of_reach(ann: AppClient, prefix: str) -> None:
    """Outputs go where the key may write, and nowhere else."""
    request = body(inputs=inputs_with("keys", "owners/ann/1"), output_prefix=prefix)
    is_problem(ann.post("/v1/jobs", json=request), 403, "forbidden")


def test_outputs_within_reach(ann: AppClient, world: World) -> None:
    """An output prefix is taken with a slash at its end."""
    request = body(inputs=inputs_with("keys", "owners/ann/1"), output_prefix="owners/ann/out")
    job_id = ann.post("/v1/jobs", json=request).json()["id"]
    assert b'"owners/ann/out/"' in world.store.get(f"jobs/{job_id}/job.json")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("PATCH", ""),
        ("DELETE", ""),
        ("POST", "/cancel"),
        ("GET", "/results"),
        ("GET", "/errors"),
        ("GET", "/items/0/output"),
        ("GET", "/report"),
        ("GET", "/events"),
    ],
)
def test_jobs_are_ones_own(ann: AppClient, bob: AppClient, method: str, path: str) -> None:
    """Another owner's job answers word for word as one that never was."""
    job_id = ann.post("/v1/jobs", json=body(inputs=inputs_with("keys", "owners/ann/1"))).json()["id"]
    nobodys = f"job_{'0' * 32}"
    json = {} if method == "PATCH" else None
    theirs = is_problem(bob.request(method, f"/v1/jobs/{job_id}{path}", json=json), 404, "job_not_found")
    none = is_problem(bob.request(method, f"/v1/jobs/{nobodys}{path}", json=json), 404, "job_not_found")
    differing = {"request_id", "detail"}
    assert {k: v for k, v in theirs.items() if k not in differing} == {
        k: v for k, v in none.items() if k not in differing
    }
    assert theirs["detail"].replace(job_id, nobodys) == none["detail"]
    assert ann.get(f"/v1/jobs/{job_id}").json()["state"] == "accepted"


def test_lists_hold_ones_own(ann: AppClient, bob: AppClient) -> None:
    """A list shows one's own jobs only, and the same Idempotency-Key is another job for another owner."""
    headers = {"Idempotency-Key": "same"}
    ours = ann.post("/v1/jobs", json=body(inputs=inputs_with("keys", "owners/ann/1")), headers=headers).json()
    theirs = bob.post(
        "/v1/jobs", json=body(inputs=inputs_with("keys", "owners/bob/1")), headers=headers
    ).json()
    assert [job["id"] for job in ann.get("/v1/jobs").json()["jobs"]] == [ours["id"]]
    assert [job["id"] for job in bob.get("/v1/jobs").json()["jobs"]] == [theirs["id"]]


def test_no_key_no_entry(ann: AppClient) -> None:
    """Where keys are needed, everything under /v1 asks for one, and health does not."""
    del ann.headers["Authorization"]
    for path in ("/v1/jobs", "/v1/operations", f"/v1/jobs/job_{'0' * 32}/events"):
        answer = ann.get(path)
        is_problem(answer, 401, "unauthenticated")
        assert answer.headers["www-authenticate"] == "Bearer"
    is_problem(ann.put(f"/v1/uploads/upl_{'0' * 32}/files/0/0", content=b"x"), 401, "unauthenticated")
    for path in ("/healthz", "/readyz", "/metrics"):
        assert ann.get(path).status_code == 200


@pytest.mark.parametrize("given", ["Bearer trp_" + "A" * 43, "Bearer ", "Basic YTpi", "Bearer ../../jobs"])
def test_unknown_keys(ann: AppClient, given: str) -> None:
    """What is no key, or nobody's, gets 401."""
    is_problem(ann.get("/v1/jobs", headers={"Authorization": given}), 401, "unauthenticated")
