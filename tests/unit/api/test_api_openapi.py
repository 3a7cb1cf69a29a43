from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from pipeline.core.settings import Settings
from pipeline.operations import Registry
from tests.unit.api.client import AppClient

PROBLEM = "application/problem+json"


@pytest.fixture
def document(client: AppClient) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/openapi.json").json()
    return found


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation


def test_every_operation_is_described(document: dict[str, Any]) -> None:
    """Each has an id of its own, one tag that is declared, and says what it does."""
    ids = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(ids) == len(set(ids)) > 15
    tags = {tag["name"] for tag in document["tags"]}
    for method, path, operation in operations(document):
        assert set(operation["tags"]) <= tags, (method, path)
        assert len(operation["tags"]) == 1, (method, path)
        assert operation["description"], (method, path)


def test_errors_are_problems(document: dict[str, Any]) -> None:
    """Every error that is documented is a problem document; only /readyz says 503 in its own way."""
    for method, path, operation in operations(document):
        for status, response in operation["responses"].items():
            if status >= "400" and (path, status) != ("/readyz", "503"):
                schema = response["content"][PROBLEM]["schema"]
                assert schema == {"$ref": "#/components/schemas/Problem"}, (method, path, status)
    assert "HTTPValidationError" not in document["components"]["schemas"]


def test_v1_needs_a_key(document: dict[str, Any]) -> None:
    """Everything under /v1 names the API key, and may say 401; health does not."""
    assert document["components"]["securitySchemes"]["ApiKey"]["scheme"] == "bearer"
    for method, path, operation in operations(document):
        keyed = path.startswith("/v1/")
        assert (operation.get("security") == [{"ApiKey": []}]) == keyed, (method, path)
        assert ("401" in operation["responses"]) == keyed, (method, path)


def test_steps_are_those_of_the_operations(document: dict[str, Any], settings: Settings) -> None:
    """A step's schema refers to the params of every operation."""
    schemas = document["components"]["schemas"]
    mapping = schemas["Step"]["discriminator"]["mapping"]
    known = Registry(settings.extra_operation_modules)
    assert set(mapping) == set(known.names())
    for operation in known:
        step = schemas[mapping[operation.name].rpartition("/")[2]]
        params = schemas[step["properties"]["params"]["$ref"].rpartition("/")[2]]
        assert params["title"] == operation.params.__name__


def test_every_reference_leads_somewhere(client: AppClient, document: dict[str, Any]) -> None:
    """No schema is referred to that is not there."""
    text = client.get("/openapi.json").text
    names = set(re.findall(r'"#/components/schemas/([^"]+)"', text))
    assert names <= set(document["components"]["schemas"])


def test_requests_have_examples(document: dict[str, Any]) -> None:
    """Every JSON body that a client sends has an example."""
    for method, path, operation in operations(document):
        body = operation.get("requestBody", {}).get("content", {}).get("application/json")
        if body is not None:
            name = body["schema"]["$ref"].rpartition("/")[2]
            assert document["components"]["schemas"][name]["examples"], (method, path)


def test_the_documentation_page(client: AppClient) -> None:
    """The interactive documentation is served."""
    assert client.get("/docs").status_code == 200


def test_the_api_stays_light() -> None:
    """Loading the app loads no numpy, Pillow, torch or onnxruntime, and no worker."""
    script = (
        "import sys, api.app, api.__main__\n"
        "heavy = ('numpy', 'PIL', 'torch', 'onnxruntime', 'numba', 'workers', 'pipeline.inference')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"
