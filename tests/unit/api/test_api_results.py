from __future__ import annotations

import pytest

from api import pages
from pipeline.core.jobs import JobState
from pipeline.core.keys import JobKeys
from tests.unit.api.client import AppClient, is_problem
from tests.unit.api.world import World, bad, body, good, lines_of


@pytest.fixture
def job_id(client: AppClient) -> str:
    job_id: str = client.post("/v1/jobs", json=body()).json()["id"]
    return job_id


def test_nothing_yet(client: AppClient, job_id: str) -> None:
    """A job that is not planned has no results, and is not complete."""
    answer = client.get(f"/v1/jobs/{job_id}/results")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert answer.headers["triptych-complete"] == "false"
    assert "triptych-next-cursor" not in answer.headers


def test_while_it_runs(client: AppClient, world: World, job_id: str) -> None:
    """While a job runs, the lines of finished shards are there."""
    world.plan(job_id, [["a", "b"], ["c"]])
    world.finish(job_id, "1", [good(2, "c")])
    answer = client.get(f"/v1/jobs/{job_id}/results")
    assert [line["index"] for line in lines_of(answer.text)] == [2]
    assert answer.headers["triptych-complete"] == "false"
    world.finish(job_id, "0", [bad(1, "b"), good(0, "a")])
    answer = client.get(f"/v1/jobs/{job_id}/results")
    assert [line["custom_id"] for line in lines_of(answer.text)] == ["a", "b", "c"]
    assert answer.headers["triptych-complete"] == "true"


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5, 100])
@pytest.mark.parametrize("forgotten", [False, True])
def test_pages_make_up_the_whole(
    client: AppClient, world: World, job_id: str, limit: int, forgotten: bool
) -> None:
    """Pages of any size make up every line once, in order; when the ledger has forgotten the job, too."""
    world.plan(job_id, [["a", "b"], ["c"], ["d", "e"]])
    for entry, lines in (
        ("0", [good(0, "a"), bad(1, "b")]),
        ("1", [good(2, "c")]),
        ("2", [bad(3, "d"), good(4, "e")]),
    ):
        world.finish(job_id, entry, lines)
    world.end(job_id)
    if forgotten:
        world.ledger.forget(job_id)
    for path, wanted in (("results", [0, 1, 2, 3, 4]), ("errors", [1, 3])):
        seen: list[int] = []
        query = f"?limit={limit}"
        while True:
            answer = client.get(f"/v1/jobs/{job_id}/{path}{query}")
            assert answer.headers["triptych-complete"] == "true"
            page = lines_of(answer.text)
            assert 0 < len(page) <= limit
            seen += [line["index"] for line in page]
            if "triptych-next-cursor" not in answer.headers:
                break
            query = f"?limit={limit}&cursor={answer.headers['triptych-next-cursor']}"
        assert seen == wanted


def test_pages_are_bounded_in_bytes(
    client: AppClient, world: World, job_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page ends when it is large enough, with a cursor to go on."""
    world.plan(job_id, [["a", "b", "c"]])
    world.finish(job_id, "0", [good(0, "a"), good(1, "b"), good(2, "c")])
    monkeypatch.setattr(pages, "MAX_PAGE_BYTES", 1)
    answer = client.get(f"/v1/jobs/{job_id}/results")
    assert len(lines_of(answer.text)) == 1
    assert answer.headers["triptych-next-cursor"] == "0:1"


@pytest.mark.parametrize("cursor", ["x", "0", "9:0", "0:0:0"])
def test_odd_cursors(client: AppClient, world: World, job_id: str, cursor: str) -> None:
    """A cursor that was not given out is refused."""
    world.plan(job_id, [["a"]])
    for path in ("results", "errors"):
        answer = client.get(f"/v1/jobs/{job_id}/{path}", params={"cursor": cursor})
        is_problem(answer, 422, "invalid_cursor")


def test_a_cancelled_job_has_a_line_an_item(client: AppClient, world: World, job_id: str) -> None:
    """After a cancellation what never ran is listed as cancelled."""
    world.plan(job_id, [["a"], ["b", "c"]])
    world.finish(job_id, "0", [good(0, "a")])
    world.end(job_id, JobState.CANCELLED)
    lines = lines_of(client.get(f"/v1/jobs/{job_id}/results").text)
    assert [(line["custom_id"], line["status"]) for line in lines] == [
        ("a", "succeeded"),
        ("b", "cancelled"),
        ("c", "cancelled"),
    ]


def test_an_output_is_streamed(client: AppClient, world: World, job_id: str) -> None:
    """Where clients cannot reach the store the API gives the bytes, under the item's own name."""
    world.plan(job_id, [['in/ünï "1".jpg', "b"]])
    key = JobKeys(job_id).output(0, 0, "d" * 64, ".bin")
    world.store.put(key, b"payload")
    world.finish(job_id, "0", [good(0, 'in/ünï "1".jpg', key), bad(1, "b")])
    answer = client.get(f"/v1/jobs/{job_id}/items/0/output")
    assert (answer.status_code, answer.content) == (200, b"payload")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-type"] == "application/octet-stream"
    disposition = answer.headers["content-disposition"]
    assert disposition.startswith("attachment; ")
    assert disposition.endswith("filename*=UTF-8''%C3%BCn%C3%AF%20_1_.bin")


def test_outputs_that_are_not_there(client: AppClient, world: World, job_id: str) -> None:
    """A failed item, one that has not run, and one that is none have no output."""
    world.plan(job_id, [["a"], ["b"]])
    world.finish(job_id, "0", [bad(0, "a")])
    for index in (0, 1, 2, 10**8):
        is_problem(client.get(f"/v1/jobs/{job_id}/items/{index}/output"), 404, "object_not_found")
    for index in ("-1", "x", "1.5", "10000000000"):
        is_problem(client.get(f"/v1/jobs/{job_id}/items/{index}/output"), 422, "invalid_params")


def test_the_report(client: AppClient, world: World, job_id: str) -> None:
    """The report comes at the end, and can neither run scripts nor reach out."""
    is_problem(client.get(f"/v1/jobs/{job_id}/report"), 409, "job_not_finished")
    world.plan(job_id, [])
    world.end(job_id)
    is_problem(client.get(f"/v1/jobs/{job_id}/report"), 404, "object_not_found")
    world.store.put(JobKeys(job_id).report, b"<!doctype html>")
    answer = client.get(f"/v1/jobs/{job_id}/report")
    assert (answer.status_code, answer.content) == (200, b"<!doctype html>")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "sandbox" in policy
    assert "script-src" not in policy
