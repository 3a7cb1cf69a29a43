"""The application: `uvicorn --factory api.app:create_app`, or `python -m api`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import PackageNotFoundError, version

from fastapi import FastAPI

from api import errors
from api.auth import KeyCache
from api.envelope import Envelope
from api.guard import BodyLimit, LoopbackOnly, check_host
from api.heads import HeadCache
from api.metrics import Metrics
from api.openapi import documented_by
from api.routes import health, jobs, operations, results, uploads
from api.services import Dispatcher, Services
from pipeline.core.ledger import Ledger
from pipeline.core.logs import configure_logs, get_logger
from pipeline.core.queue import Sender, make_celery
from pipeline.core.redis_ledger import make_ledger
from pipeline.core.s3 import make_store
from pipeline.core.settings import Settings, load_settings
from pipeline.core.storage import ObjectStore
from pipeline.operations import Registry

log = get_logger(__name__)

TAGS = [
    {"name": "uploads", "description": "Files of your own, put straight to the object store."},
    {"name": "jobs", "description": "Inputs x steps: submit, look, change, cancel, watch."},
    {"name": "results", "description": "One line an item, in input order; outputs; the report."},
    {"name": "operations", "description": "What can be done, with the JSON schemas of params and receipts."},
    {"name": "health", "description": "For load balancers and Prometheus. No API key needed."},
]


def create_app(
    settings: Settings | None = None,
    *,
    store: ObjectStore | None = None,
    ledger: Ledger | None = None,
    sender: Dispatcher | None = None,
) -> FastAPI:
    """Makes the application.

    Args:
        settings: Read from the environment when None.
        store: The object store that the settings name, when None. Likewise `ledger` and `sender`.
        ledger: The ledger.
        sender: Sends what the ledger dispatches.

    Raises:
        SettingsError: A setting is wrong, or others could reach a server without API keys.
    """
    settings = settings or load_settings()
    check_host(settings)
    store = store or make_store(settings)
    ledger = ledger or make_ledger(settings)
    services = Services(
        settings=settings,
        store=store,
        ledger=ledger,
        sender=sender or Sender(make_celery(settings), ledger),
        registry=Registry(settings.extra_operation_modules),
        keys=KeyCache(store),
        heads=HeadCache(store),
        metrics=Metrics(store, ledger),
    )
    app = FastAPI(
        title="Triptych",
        summary="Compress, stylize and describe image collections of any size.",
        description="Errors are problem documents (RFC 9457) with a stable `code`.",
        version=_version(),
        openapi_tags=TAGS,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=_lifespan,
    )
    app.state.services = services
    for router in (uploads.router, jobs.router, results.router, operations.router, health.router):
        app.include_router(router)
    app.openapi = documented_by(app, services.registry)  # type: ignore[method-assign]
    errors.install(app)
    # The last one added is the outermost: even what a guard refuses has an id, a log line and a problem.
    app.add_middleware(BodyLimit, settings=settings)
    if not settings.auth:
        app.add_middleware(LoopbackOnly)
    app.add_middleware(Envelope, observe=services.metrics.observe)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    settings = app.state.services.settings
    configure_logs(settings, process="api")
    log.info("api.started", auth=settings.auth, operations=app.state.services.registry.names())
    yield
    log.info("api.stopped")


def _version() -> str:
    try:
        return version("triptych")
    except PackageNotFoundError:
        return "0"  # run from a source tree that was never installed
