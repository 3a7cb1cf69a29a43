"""What kinds of work there are, with the JSON schemas of their params and receipts."""

from __future__ import annotations

from fastapi import APIRouter, Depends

from api.deps import ServicesDep, caller_of
from api.errors import documented
from api.schemas import OperationList, OperationOut
from pipeline.core.artifact import built_in_digest, built_in_manifest
from pipeline.core.errors import ArtifactNotFound, NotFound
from pipeline.core.operation import Operation

router = APIRouter(
    prefix="/v1/operations",
    tags=["operations"],
    dependencies=[Depends(caller_of)],
    responses=documented(401, 403, 503),
)


@router.get("", operation_id="listOperations")
def list_operations(services: ServicesDep) -> OperationList:
    """Every operation of this installation."""
    alive = _known_to_workers(services)
    return OperationList(operations=[_shown(operation, alive) for operation in services.registry])


@router.get("/{name}", operation_id="getOperation", responses=documented(404, 422))
def get_operation(name: str, services: ServicesDep) -> OperationOut:
    """One operation."""
    if name not in services.registry.names():
        raise NotFound(f"no operation {name[:80]!r}")
    return _shown(services.registry.get(name), _known_to_workers(services))


def _known_to_workers(services: ServicesDep) -> set[str]:
    return {name for beat in services.ledger.workers() for name in beat.operations}


def _shown(operation: Operation, alive: set[str]) -> OperationOut:
    artifacts, terms = {}, {}
    for name in operation.artifacts:
        try:
            artifacts[name] = built_in_digest(name)
            terms[name] = built_in_manifest(name, artifacts[name]).terms
        except ArtifactNotFound:
            alive = set()  # a job that needs it would not be accepted
    return OperationOut(
        name=operation.name,
        summary=operation.summary,
        params_schema=operation.params.model_json_schema(),
        result_schema=operation.result.model_json_schema(),
        artifacts=artifacts,
        terms=terms,
        takes_picture=operation.takes_picture,
        makes_picture=operation.makes_picture,
        available=operation.name in alive,
    )
