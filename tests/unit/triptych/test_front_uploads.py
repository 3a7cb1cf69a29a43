"""Uploads: every byte, in order, once, whatever breaks on the way."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import httpx
import pytest

from tests.support.fake_api import API, FakeApi, problem
from triptych import ApiError, AsyncClient, Client, Unreachable, uploads
from triptych.transport import TRIES


@pytest.mark.parametrize("presigned", [True, False])
def test_every_byte_arrives_in_its_place(
    api: FakeApi, client: Client, photos: list[Path], presigned: bool
) -> None:
    """File n of an upload is place n of its page, empty ones too, through the store and through the API."""
    api.presigned = presigned
    upload = client.upload(photos)
    assert upload.unsent == {}
    assert [api.objects[f"/0/{place}"] for place in range(7)] == [path.read_bytes() for path in photos]


def test_the_store_never_sees_the_api_key(api: FakeApi, client: Client, photos: list[Path]) -> None:
    """Only requests to the API carry the key."""
    client.upload(photos)
    job = client.create_job("squeeze", uploads.Upload("upl_1").inputs)
    client.fetch(job.id, photos[0].parent / "out")
    for request in api.seen:
        assert ("Authorization" in request.headers) == (request.url.host == "api.test"), request.url


def test_large_folders_go_in_pages(
    api: FakeApi, client: Client, photos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No page has more files than the API takes, and the order is kept over pages."""
    monkeypatch.setattr(uploads, "PAGE_FILES", 3)
    done: list[tuple[int, int]] = []
    client.upload(photos, on_progress=lambda sent, total: done.append((sent, total)))
    assert [len(api.pages[page]) for page in range(3)] == [3, 3, 1]
    assert [file["name"] for page in range(3) for file in api.pages[page]] == [str(path) for path in photos]
    assert done[-1] == (7, 7)
    assert [sent for sent, _ in done] == sorted(sent for sent, _ in done)


def test_what_is_stored_is_not_sent_again(api: FakeApi, client: Client, photos: list[Path]) -> None:
    """A broken upload goes on where it stopped."""
    upload = client.upload(photos)
    del api.objects["/0/3"]
    api.requests.clear()
    again = client.upload(photos, resume=upload.upload_id)
    assert again.upload_id == upload.upload_id
    assert [request for request in api.requests if request.startswith("PUT")] == ["PUT /0/3"]


def test_passing_failures_are_tried_again_with_back_off(
    api: FakeApi, client: Client, photos: list[Path], waits: list[float]
) -> None:
    """408, 429, 5xx and broken connections pass; waiting doubles and is never exactly the same."""
    failures = iter([503, 429, 408, "connection", 500])

    def fault(request: httpx.Request) -> httpx.Response | None:
        kind = next(failures, None) if request.url.path == "/0/6" else None
        if kind == "connection":
            raise httpx.ConnectError("refused")
        return httpx.Response(int(kind)) if kind else None

    api.faults.append(fault)
    client.upload(photos)
    assert api.objects["/0/6"] == photos[6].read_bytes()
    assert len(waits) == 5
    for number, wait_s in enumerate(waits, start=1):
        assert 0.125 * 2**number <= wait_s <= 0.25 * 2**number


def test_retry_after_is_heeded(api: FakeApi, client: Client, photos: list[Path], waits: list[float]) -> None:
    """A server that asks for a pause gets it."""
    answers = iter([httpx.Response(429, headers={"Retry-After": "7"})])
    api.faults.append(lambda request: next(answers, None))
    client.upload(photos)
    assert waits == [7.0]


def test_it_gives_up_in_the_end(api: FakeApi, client: Client, photos: list[Path]) -> None:
    """A store that never answers is an error that says so, after so many tries, not a hang."""

    def fault(request: httpx.Request) -> httpx.Response | None:
        if request.url.host == "store.test":
            raise httpx.ConnectTimeout("no answer")
        return None

    api.faults.append(fault)
    with pytest.raises(Unreachable, match="no answer"):
        client.upload(photos[:1])
    assert api.requests.count("PUT /0/0") == TRIES


def test_an_expired_url_is_replaced(api: FakeApi, client: Client, photos: list[Path]) -> None:
    """A presigned URL that came too late (403) is asked for anew."""
    refused: set[str] = set()

    def fault(request: httpx.Request) -> httpx.Response | None:
        if request.method == "PUT" and request.url.path not in refused:
            refused.add(request.url.path)
            return httpx.Response(403, text="<Error><Code>AccessDenied</Code></Error>")
        return None

    api.faults.append(fault)
    client.upload(photos)
    assert len(refused) == 7
    assert all(f"/0/{place}" in api.objects for place in range(7))


def test_a_refusal_for_good_ends_the_upload(api: FakeApi, client: Client, photos: list[Path]) -> None:
    """What trying again cannot help is not tried again."""
    api.faults.append(
        lambda request: problem(403, "forbidden", "not yours") if request.method == "POST" else None
    )
    with pytest.raises(ApiError, match="not yours") as caught:
        client.upload(photos)
    assert (caught.value.status, caught.value.code) == (403, "forbidden")
    assert api.requests == ["POST /v1/uploads"]


def test_files_that_vanish_or_change_are_named_and_hold_nobody_up(
    api: FakeApi, client: Client, photos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between listing and sending a file may go, shrink or grow."""
    create = api._uploads

    def meddle(request: httpx.Request, parts: list[str]) -> httpx.Response:
        if request.method == "POST":
            photos[1].unlink()
            photos[2].write_bytes(b"less")
            photos[3].write_bytes(bytes(100_000))
        return create(request, parts)

    monkeypatch.setattr(api, "_uploads", meddle)
    upload = client.upload(photos)
    assert sorted(upload.unsent) == [1, 2, 3]
    assert "no such file" in upload.unsent[1]
    assert "changed" in upload.unsent[2]
    assert "changed" in upload.unsent[3]
    assert all(f"/0/{place}" in api.objects for place in (0, 4, 5, 6))


def test_at_most_eight_at_a_time_and_never_a_whole_file_at_once(tmp_path: Path) -> None:
    """Uploads run side by side, bounded, and stream from disk in chunks."""
    paths = [tmp_path / f"{number}" for number in range(20)]
    for path in paths:
        path.write_bytes(bytes(3 * uploads.CHUNK_BYTES + 7))
    flying: Counter[str] = Counter()
    most, largest = 0, 0

    class Network(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            nonlocal most, largest
            if request.method != "PUT":
                return await fake.handle(request)
            flying["now"] += 1
            most = max(most, flying["now"])
            assert isinstance(request.stream, httpx.AsyncByteStream)
            chunks = [chunk async for chunk in request.stream]
            largest = max(largest, *map(len, chunks))
            assert int(request.headers["Content-Length"]) == sum(map(len, chunks))
            await asyncio.sleep(0.01)
            flying["now"] -= 1
            fake.objects[request.url.path] = b"".join(chunks)
            return httpx.Response(200)

    async def scenario() -> None:
        async with AsyncClient(API, http=Network()) as client:
            await client.upload(paths)

    fake = FakeApi()
    asyncio.run(scenario())
    assert most == uploads.PARALLEL
    assert largest <= uploads.CHUNK_BYTES
