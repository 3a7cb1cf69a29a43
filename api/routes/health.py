"""Whether this process lives, what it reaches, and what Prometheus wants to know."""

from __future__ import annotations

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from api.deps import ServicesDep
from api.errors import documented
from api.schemas import Alive, Ready
from pipeline.core.errors import Transient
from pipeline.core.ledger import Ledger
from pipeline.core.logs import get_logger
from pipeline.core.storage import ObjectStore

router = APIRouter(tags=["health"], responses=documented(403))
log = get_logger(__name__)


@router.get("/healthz", operation_id="alive")
async def healthz() -> Alive:
    """Answers while the process lives, whatever it reaches."""
    return Alive()


@router.get("/readyz", operation_id="ready", responses={503: {"model": Ready, "description": "Not ready"}})
def readyz(services: ServicesDep, response: Response) -> Ready:
    """Whether the broker and the object store answer."""
    ready = Ready(redis=_answers(services.ledger), store=_answers(services.store))
    if not (ready.redis and ready.store):
        response.status_code = 503
    return ready


def _answers(service: Ledger | ObjectStore) -> bool:
    try:
        service.check()
    except Transient as error:
        log.warning("ready.not", code=error.code, error=error.message)
        return False
    return True


@router.get(
    "/metrics",
    operation_id="metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
def metrics(services: ServicesDep) -> Response:
    """Metrics in Prometheus' text format."""
    return Response(generate_latest(services.metrics.registry), media_type=CONTENT_TYPE_LATEST)
