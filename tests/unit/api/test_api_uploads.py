from __future__ import annotations

from typing import Any

import pytest

from pipeline.core.keys import JobKeys
from tests.unit.api.client import AppClient, is_problem
from tests.unit.api.world import World, body


def files(*names: str, size_bytes: int = 3) -> dict[str, Any]:
    return {"files": [{"name": name, "size_bytes": size_bytes} for name in names]}


def create(client: AppClient, *names: str) -> str:
    answer = client.post("/v1/uploads", json=files(*names))
    assert answer.status_code == 201
    upload_id: str = answer.json()["upload_id"]
    return upload_id


def test_an_upload_by_streaming(client: AppClient, world: World) -> None:
    """Where clients cannot reach the store, files go through the API, each to the URL it was given."""
    answer = client.post("/v1/uploads", json=files("a/1.jpg", "b.jpg"))
    page = answer.json()
    assert page["page"] == 0
    assert [(f["place"], f["name"], f["stored"]) for f in page["files"]] == [
        (0, "a/1.jpg", False),
        (1, "b.jpg", False),
    ]
    for file in page["files"]:
        sent = client.put(file["url"], content=b"abc")
        assert (sent.status_code, sent.content) == (204, b"")
    shown = client.get(f"/v1/uploads/{page['upload_id']}/pages/0").json()
    assert [file["stored"] for file in shown["files"]] == [True, True]
    stored = world.keys(f"owners/local/uploads/{page['upload_id']}/files/")
    assert [world.store.get(key) for key in stored] == [b"abc", b"abc"]


@pytest.mark.parametrize("name", ["../../jobs/x", "a\nb", "\x00", "/etc/passwd", "ünï✓", "x" * 1024])
def test_names_never_become_keys(client: AppClient, world: World, name: str) -> None:
    """A name may hold anything: it stays in the page."""
    upload_id = create(client, name)
    client.put(f"/v1/uploads/{upload_id}/files/0/0", content=b"abc")
    prefix = f"owners/local/uploads/{upload_id}/"
    assert world.keys() == [f"{prefix}files/000000/000000", f"{prefix}pages/000000.json"]
    shown = client.get(f"/v1/uploads/{upload_id}/pages/0").json()
    assert (shown["files"][0]["name"], shown["files"][0]["stored"]) == (name, True)


def test_pages_may_be_repeated(client: AppClient) -> None:
    """Declaring a page again changes nothing; with other files it is refused."""
    upload_id = create(client, "1")
    first = client.post(f"/v1/uploads/{upload_id}/pages/1", json=files("2"))
    again = client.post(f"/v1/uploads/{upload_id}/pages/1", json=files("2"))
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json()
    is_problem(client.post(f"/v1/uploads/{upload_id}/pages/1", json=files("3")), 409, "conflict")
    is_problem(client.post(f"/v1/uploads/{upload_id}/pages/0", json=files("3")), 409, "conflict")


def test_a_repeated_page_says_what_is_stored(client: AppClient) -> None:
    """An interrupted upload goes on by declaring its page again, or by reading it."""
    upload_id = create(client, "1", "2")
    client.put(f"/v1/uploads/{upload_id}/files/0/1", content=b"abc")
    again = client.post(f"/v1/uploads/{upload_id}/pages/0", json=files("1", "2"))
    assert [file["stored"] for file in again.json()["files"]] == [False, True]


def test_what_has_another_size_is_not_stored(client: AppClient, world: World) -> None:
    """A file counts as stored with its declared size only."""
    upload_id = create(client, "1")
    world.store.put(f"owners/local/uploads/{upload_id}/files/000000/000000", b"four")
    shown = client.get(f"/v1/uploads/{upload_id}/pages/0").json()
    assert not shown["files"][0]["stored"]


def test_an_upload_with_a_gap_is_no_input(client: AppClient) -> None:
    """A page that is missing would silently end the job's inputs there."""
    upload_id = create(client, "1")
    client.post(f"/v1/uploads/{upload_id}/pages/2", json=files("3"))
    request = body(inputs={"kind": "upload", "upload_id": upload_id})
    assert "page 1" in is_problem(client.post("/v1/jobs", json=request), 422, "invalid_input")["detail"]
    client.post(f"/v1/uploads/{upload_id}/pages/1", json=files("2"))
    assert client.post("/v1/jobs", json=request).status_code == 202


@pytest.mark.parametrize(
    "declared",
    [
        {"files": []},
        files(""),
        files("x" * 1025),
        files(*["x"] * 1001),
        files("x", size_bytes=-1),
        {"files": [{"name": "x", "size_bytes": 1, "key": "jobs/x"}]},
        {},
    ],
)
def test_pages_are_checked(client: AppClient, world: World, declared: dict[str, Any]) -> None:
    """1 to 1000 files, with names of 1 to 1024 characters and a size."""
    is_problem(client.post("/v1/uploads", json=declared), 422, "invalid_params")
    assert not world.keys()


def test_files_too_large_are_refused_beforehand(client: AppClient, world: World) -> None:
    """A file larger than inputs may be is refused before a byte of it is sent."""
    limit = world.settings.max_input_bytes
    is_problem(client.post("/v1/uploads", json=files("x", size_bytes=limit + 1)), 422, "input_too_large")
    assert client.post("/v1/uploads", json=files("x", size_bytes=limit)).status_code == 201


@pytest.mark.parametrize("path", ["pages/1", "files/1/0", "files/0/1", "files/0/999"])
def test_what_was_not_declared(client: AppClient, path: str) -> None:
    """Only declared places can be read or written."""
    upload_id = create(client, "1")
    method = "GET" if path.startswith("pages") else "PUT"
    is_problem(client.request(method, f"/v1/uploads/{upload_id}/{path}"), 404, "upload_not_found")


@pytest.mark.parametrize("path", ["files/0/1000", "files/-1/0", "files/x/0", "pages/1000000"])
def test_places_that_are_none(client: AppClient, path: str) -> None:
    """A place is a number within a page."""
    upload_id = create(client, "1")
    method = "GET" if path.startswith("pages") else "PUT"
    is_problem(client.request(method, f"/v1/uploads/{upload_id}/{path}"), 422, "invalid_params")


@pytest.mark.parametrize("content", [b"ab", b"abcd", b""])
def test_bodies_have_the_declared_size(client: AppClient, world: World, content: bytes) -> None:
    """A body of another size than declared is refused and leaves nothing."""
    upload_id = create(client, "1")
    answer = client.put(f"/v1/uploads/{upload_id}/files/0/0", content=content)
    is_problem(answer, 422, "invalid_input")
    assert not world.keys(f"owners/local/uploads/{upload_id}/files/")


@pytest.mark.parametrize(
    ("chunks", "status", "code"), [([b"ab"], 422, "invalid_input"), ([b"ab", b"cd"], 413, "body_too_large")]
)
def test_bodies_that_lie_about_their_size(
    client: AppClient, world: World, chunks: list[bytes], status: int, code: str
) -> None:
    """A body that is shorter or longer than its own Content-Length leaves nothing."""
    upload_id = create(client, "1")
    path = f"/v1/uploads/{upload_id}/files/0/0"
    is_problem(client.put(path, content=iter(chunks), headers={"Content-Length": "3"}), status, code)
    assert not world.keys(f"owners/local/uploads/{upload_id}/files/")


def test_bodies_say_their_size(client: AppClient) -> None:
    """A streamed upload without Content-Length is refused."""
    upload_id = create(client, "1")
    answer = client.put(f"/v1/uploads/{upload_id}/files/0/0", content=iter([b"abc"]))
    is_problem(answer, 411, "length_required")


def test_empty_files(client: AppClient, world: World) -> None:
    """A file of no bytes is a file."""
    upload_id = client.post("/v1/uploads", json=files("x", size_bytes=0)).json()["upload_id"]
    path = f"/v1/uploads/{upload_id}/files/0/0"
    assert client.put(path, headers={"Content-Length": "0"}).status_code == 204
    assert client.get(f"/v1/uploads/{upload_id}/pages/0").json()["files"][0]["stored"]


def test_an_upload_is_deleted_once_no_job_needs_it(client: AppClient, world: World) -> None:
    """409 while one that has not ended names it, as inputs or among params; then nothing of it is left."""
    upload_id = create(client, "1.jpg")
    client.put(f"/v1/uploads/{upload_id}/files/0/0", content=b"abc")
    other = create(client, "2.jpg")
    job = client.post("/v1/jobs", json=body(inputs={"kind": "upload", "upload_id": upload_id})).json()
    styled = body("stylize", {"styles": [f"{upload_id}/0/0"]})
    second = client.post("/v1/jobs", json=styled).json()
    is_problem(client.delete(f"/v1/uploads/{upload_id}"), 409, "conflict")
    world.store.delete([JobKeys(job["id"]).active])
    is_problem(client.delete(f"/v1/uploads/{upload_id}"), 409, "conflict")
    world.store.delete([JobKeys(second["id"]).active])
    assert client.delete(f"/v1/uploads/{upload_id}").status_code == 204
    left = world.keys("owners/local/uploads/")
    assert left
    assert all(other in key for key in left)
    is_problem(client.delete(f"/v1/uploads/{upload_id}"), 404, "upload_not_found")


def test_others_uploads_are_not_there_to_delete(ann: AppClient, bob: AppClient) -> None:
    upload_id = create(ann, "1.jpg")
    is_problem(bob.delete(f"/v1/uploads/{upload_id}"), 404, "upload_not_found")
    assert ann.get(f"/v1/uploads/{upload_id}/pages/0").status_code == 200


def test_a_large_upload_is_deleted_in_several_calls(
    client: AppClient, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """202 until all is gone; a job that is just being submitted might need it."""
    monkeypatch.setattr("api.uploads.MOST_ERASED", 2)
    upload_id = create(client, "1", "2", "3")
    for place in range(3):
        client.put(f"/v1/uploads/{upload_id}/files/0/{place}", content=b"abc")
    world.store.put("active/job_" + "7" * 32, b"")
    is_problem(client.delete(f"/v1/uploads/{upload_id}"), 409, "conflict")
    world.store.delete(["active/job_" + "7" * 32])
    assert [client.delete(f"/v1/uploads/{upload_id}").status_code for _ in range(2)] == [202, 204]
    assert not world.keys(f"owners/local/uploads/{upload_id}/")
