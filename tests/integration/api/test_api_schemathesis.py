"""Schemathesis reads the OpenAPI document and tries what it says, and what it does not say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.schemas import APIOperation, BaseSchema
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from pipeline.core.keys import JobKeys
from tests.integration.api.conftest import Running, StartApi
from tests.unit.api.world import bad, body, good

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
EXAMPLES = 20
ENDLESS = "watchJob"  # its stream does not while its job runs


@dataclass(frozen=True)
class Tried:
    """A running API with something in it, and its own description."""

    document: BaseSchema
    known: list[dict[str, Any]]  # path parameters that lead somewhere


@pytest.fixture
def tried(start_api: StartApi) -> Tried:
    running = start_api(s3_public_url=None)
    document = schemathesis.openapi.from_url(f"{running.url}/openapi.json")
    return Tried(document, _fill(running))


def _fill(running: Running) -> list[dict[str, Any]]:
    """An upload, a job that has ended, with an output and a report, and one that runs."""
    world = running.world
    with running.client() as client:
        files = {"files": [{"name": "a", "size_bytes": 3}]}
        upload_id = client.post("/v1/uploads", json=files).json()["upload_id"]
        ended = client.post("/v1/jobs", json=body()).json()["id"]
        running_id = client.post("/v1/jobs", json=body()).json()["id"]
    key = JobKeys(ended).output(0, 0, "d" * 64, ".bin")
    world.store.put(key, b"payload")
    world.store.put(JobKeys(ended).report, b"<!doctype html>")
    world.plan(ended, [["a", "b"]], sent=True)
    world.finish(ended, "0", [good(0, "a", key), bad(1, "b")])
    world.end(ended)
    world.plan(running_id, [["a"]], sent=True)
    shared = {"upload_id": upload_id, "page": 0, "place": 0, "index": 0, "name": "copy"}
    return [{"job_id": ended, **shared}, {"job_id": running_id, **shared}]


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
def test_the_api_does_what_it_says(tried: Tried, mode: GenerationMode) -> None:
    """Whatever is sent, no 5xx and no status, type, header or body comes back that is not documented."""
    operations = [found.ok() for found in tried.document.get_all_operations()]
    assert len(operations) > 15
    for operation in operations:
        try:
            _try(operation, mode, tried.known)
        except Unsatisfiable:
            assert mode is GenerationMode.NEGATIVE, operation.label  # it takes nothing that could be wrong


def _try(operation: APIOperation, mode: GenerationMode, known: list[dict[str, Any]]) -> None:
    lasting = known[:1] if operation.definition.raw["operationId"] == ENDLESS else known

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    def call(case: Case) -> None:
        case.call_and_validate(checks=CHECKS, timeout=20)
        if not case.path_parameters:
            return
        for place in lasting:
            case.path_parameters = {name: place[name] for name in case.path_parameters}
            case.call_and_validate(checks=CHECKS, timeout=20)

    call()
