from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from pipeline.core.errors import BrokerUnavailable, StorageUnavailable
from pipeline.core.ledger import Beat
from pipeline.core.operation import Operation
from pipeline.operations import ALL
from tests.unit.api.client import AppClient, is_problem
from tests.unit.api.world import World, body


def samples(client: AppClient) -> dict[tuple[str, tuple[str, ...]], float]:
    """Every sample that is scraped, by name and label values."""
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def unreachable(error: type[Exception]) -> object:
    def fail(*args: object, **more: object) -> None:
        raise error("10.1.2.3 did not answer")

    return fail


def test_ready(client: AppClient) -> None:
    """Ready when broker and store answer."""
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"redis": True, "store": True})


@pytest.mark.parametrize("down", ["redis", "store"])
def test_not_ready(client: AppClient, world: World, monkeypatch: pytest.MonkeyPatch, down: str) -> None:
    """Not ready while one of them does not, but alive."""
    service = world.ledger if down == "redis" else world.store
    error = BrokerUnavailable if down == "redis" else StorageUnavailable
    monkeypatch.setattr(service, "check", unreachable(error))
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json() == {"redis": down != "redis", "store": down != "store"}
    assert client.get("/healthz").status_code == 200


def test_metrics_of_requests(client: AppClient) -> None:
    """Requests are counted by route template: neither ids nor invented paths make new series."""
    for number in range(3):
        client.get(f"/v1/jobs/job_{number:032d}")
        client.get(f"/invented/{number}")
        client.request(f"INVENTED{number}", "/healthz")
    found = samples(client)
    name = "triptych_http_request_seconds_count"
    assert found[name, ("GET", "/v1/jobs/{job_id}", "404")] == 3
    assert found[name, ("GET", "unmatched", "404")] == 3
    assert found[name, ("other", "/healthz", "405")] == 3


def test_metrics_of_the_ledger(client: AppClient, world: World) -> None:
    """What waits, who works and what jobs there are is read at each scrape."""
    world.ledger.beat(Beat("gpu", ("work.bulk.cuda",), 4, ("copy",), "cuda"))
    client.post("/v1/jobs", json=body())
    found = samples(client)
    assert found["triptych_ledger_up", ()] == 1
    assert found["triptych_entries_waiting", ("control",)] == 1
    assert found["triptych_entries_in_flight", ("control",)] == 0
    assert found["triptych_workers", ("cuda",)] == 1
    assert found["triptych_slots", ("work.bulk.cuda",)] == 4
    assert found["triptych_jobs", ("accepted",)] == 1
    assert found["triptych_jobs", ("running",)] == 0


def test_metrics_without_a_broker(client: AppClient, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a broker the scrape says so, and still counts requests."""
    monkeypatch.setattr(world.ledger, "backlog", unreachable(BrokerUnavailable))
    found = samples(client)
    assert found["triptych_ledger_up", ()] == 0
    assert ("triptych_workers", ("cpu",)) not in found


def test_operations(client: AppClient) -> None:
    """Every operation is listed with its schemas; one that a living worker knows is available."""
    listed = {one["name"]: one for one in client.get("/v1/operations").json()["operations"]}
    assert {operation.name for operation in ALL} <= set(listed)
    assert (listed["copy"]["available"], listed["sleep"]["available"]) == (True, False)
    assert listed["sleep"]["params_schema"]["properties"]["seconds"]["minimum"] == 0
    assert listed["sleep"] == client.get("/v1/operations/sleep").json()
    is_problem(client.get("/v1/operations/enlarge"), 404, "not_found")


@pytest.mark.parametrize("operation", ALL, ids=lambda operation: operation.name)
def test_built_in_operations(client: AppClient, operation: Operation) -> None:
    """A built-in operation shows the digests of the artifacts that ship with it."""
    shown = client.get(f"/v1/operations/{operation.name}").json()
    assert set(shown["artifacts"]) == set(operation.artifacts)
    assert all(len(digest) == 64 for digest in shown["artifacts"].values())
    assert shown["result_schema"]["type"] == "object"
