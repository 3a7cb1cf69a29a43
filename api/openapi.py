"""The OpenAPI document: FastAPI's own, with problem documents and each operation's params in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from api.errors import Problem
from pipeline.operations import Registry

_REF = "#/components/schemas/"


def documented_by(app: FastAPI, registry: Registry) -> Callable[[], dict[str, Any]]:
    """A function that makes the app's OpenAPI document once, for `app.openapi`."""
    made: dict[str, Any] = {}

    def openapi() -> dict[str, Any]:
        if not made:
            made.update(_document(app, registry))
        return made

    return openapi


def _document(app: FastAPI, registry: Registry) -> dict[str, Any]:
    document = get_openapi(
        title=app.title,
        version=app.version,
        summary=app.summary,
        description=app.description,
        routes=app.routes,
        tags=app.openapi_tags,
    )
    schemas = document["components"]["schemas"]
    models: list[type[BaseModel]] = [Problem, *(operation.params for operation in registry)]
    names, defined = models_json_schema(
        [(model, "validation") for model in models], ref_template=f"{_REF}{{model}}"
    )
    schemas.update(defined["$defs"])
    params = {operation.name: names[operation.params, "validation"] for operation in registry}
    schemas["Step"] = _step(schemas, params)
    return document


def _step(schemas: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
    """The schema of a step: for each operation, its name with its params."""
    mapping = {}
    for name, schema in params.items():
        step = f"{name.title().replace('_', '').replace('-', '')}Step"
        schemas[step] = {
            "type": "object",
            "title": step,
            "properties": {"operation": {"type": "string", "const": name}, "params": schema},
            "required": ["operation"],
            "additionalProperties": False,
        }
        mapping[name] = f"{_REF}{step}"
    return {
        "title": "Step",
        "description": "One operation with its params.",
        "oneOf": [{"$ref": reference} for reference in mapping.values()],
        "discriminator": {"propertyName": "operation", "mapping": mapping},
    }
