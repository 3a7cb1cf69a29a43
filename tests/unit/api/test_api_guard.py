from __future__ import annotations

from collections.abc import Iterator

import pytest
from anyio.from_thread import BlockingPortal

from api.app import create_app
from api.guard import check_host
from pipeline.core.settings import Settings, SettingsError
from tests.unit.api.client import AppClient, is_problem
from tests.unit.api.world import World


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8000", "LOCALHOST", "127.0.0.1", "127.9.9.9:1", "[::1]", "[::1]:8000"]
)
def test_loopback_hosts_are_served(client: AppClient, host: str) -> None:
    """Every name and address of this machine's own is served, on any port."""
    assert client.get("/v1/jobs", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "evil.example:8000",
        "0.0.0.0",
        "10.0.0.1",
        "[::]",
        "[::ffff:10.0.0.1]",
        "2130706433",
        "localhost:8000@evil.example",
        "localhost/",
        "[::1]evil",
        "",
    ],
)
@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_other_hosts_are_refused(client: AppClient, host: str, method: str) -> None:
    """Any other Host is refused: a page that rebinds its name to 127.0.0.1 sends its own."""
    path = "/v1/jobs" if method == "GET" else f"/v1/uploads/upl_{'0' * 32}/files/0/0"
    is_problem(client.request(method, path, headers={"Host": host}), 403, "forbidden")


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:9999"},
        {"Origin": ""},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "http://127.0.0.1:8000", "Sec-Fetch-Site": "cross-site"},
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_other_sites_are_refused(client: AppClient, headers: dict[str, str], method: str) -> None:
    """What another site's page sends is refused, streamed uploads too."""
    path = {"PUT": f"/v1/uploads/upl_{'0' * 32}/files/0/0"}.get(method, "/v1/jobs")
    is_problem(client.request(method, path, headers=headers), 403, "forbidden")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "http://127.0.0.1:8000"},
    ],
)
def test_own_pages_are_served(client: AppClient, headers: dict[str, str]) -> None:
    """Programs, address bars and the API's own pages are served."""
    assert client.get("/v1/jobs", headers=headers).status_code == 200


def test_two_hosts_are_refused(client: AppClient) -> None:
    """Two Host headers may mean two things to two readers."""
    headers = [("Host", "localhost"), ("Host", "evil.example")]
    is_problem(client.get("/v1/jobs", headers=headers), 403, "forbidden")


def test_other_addresses_are_refused(world: World, portal: BlockingPortal) -> None:
    """A server that was made to listen elsewhere, whatever the settings say, serves nobody there."""
    app = create_app(world.settings, store=world.store, ledger=world.ledger, sender=world.sender)
    far = AppClient(app, portal, "http://10.0.0.5:8000", {})
    is_problem(far.get("/v1/jobs", headers={"Host": "localhost"}), 403, "forbidden")


def test_with_keys_any_host_is_served(ann: AppClient) -> None:
    """With keys the key decides."""
    headers = {"Host": "triptych.example", "Origin": "https://elsewhere.example"}
    assert ann.get("/v1/jobs", headers=headers).status_code == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "triptych.example", ""])
def test_no_start_without_keys_elsewhere(host: str) -> None:
    """Without keys the server does not start where others could reach it."""
    with pytest.raises(SettingsError, match="TRIPTYCH_API_HOST"):
        check_host(Settings(api_host=host))
    check_host(Settings(api_host=host, auth=True))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_starts_on_loopback(host: str) -> None:
    """On loopback it does."""
    check_host(Settings(api_host=host))


def chunks(count: int) -> Iterator[bytes]:
    """A body whose length nobody was told."""
    for _ in range(count):
        yield b"x" * 1024


def test_large_bodies_by_their_length(client: AppClient, world: World) -> None:
    """A body over the limit is refused by its Content-Length."""
    limit = world.settings.max_body_bytes
    answer = client.post("/v1/jobs", content=b"x" * (limit + 1))
    is_problem(answer, 413, "body_too_large")


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/uploads"])
def test_large_bodies_in_chunks(client: AppClient, world: World, path: str) -> None:
    """A body that does not say its length is refused once too much has come."""
    count = world.settings.max_body_bytes // 1024 + 1
    is_problem(client.post(path, content=chunks(count)), 413, "body_too_large")
    is_problem(client.post(path, content=chunks(count - 1)), 422, "invalid_params")


def test_large_uploads(client: AppClient, world: World) -> None:
    """A streamed upload has a limit of its own: what inputs may have."""
    path = f"/v1/uploads/upl_{'0' * 32}/files/0/0"
    answer = client.put(path, content=b"x" * (world.settings.max_input_bytes + 1))
    is_problem(answer, 413, "body_too_large")
    assert not world.keys("owners/")
