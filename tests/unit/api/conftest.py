"""The app over in-memory stores: without keys (`client`), and with keys for two owners (`ann`, `bob`)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import structlog
from anyio.from_thread import BlockingPortal, start_blocking_portal

from api.app import create_app
from pipeline.core.auth import create_key
from pipeline.core.ledger import Ledger
from pipeline.core.memory import MemoryObjectStore
from pipeline.core.memory_ledger import MemoryLedger
from pipeline.core.settings import Settings
from pipeline.core.storage import ObjectStore
from tests.unit.api.client import AppClient
from tests.unit.api.world import World


@pytest.fixture(autouse=True, scope="session")
def plain_logs() -> Iterator[None]:
    """Log lines as in production: structlog's default draws tracebacks, which takes seconds."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ]
    )
    yield
    structlog.reset_defaults()


@pytest.fixture
def store() -> ObjectStore:
    return MemoryObjectStore()


@pytest.fixture
def ledger() -> Ledger:
    return MemoryLedger()


@pytest.fixture
def settings() -> Settings:
    return Settings(
        extra_operations="tests.support.operations", max_body_bytes=128 * 1024, max_input_bytes=10_000
    )


@pytest.fixture
def world(store: ObjectStore, ledger: Ledger, settings: Settings) -> World:
    return World(store, ledger, settings)


@pytest.fixture
def portal() -> Iterator[BlockingPortal]:
    """An event loop in a thread of its own."""
    with start_blocking_portal() as opened:
        yield opened


@pytest.fixture
def client(world: World, portal: BlockingPortal) -> AppClient:
    """A client of a server without keys."""
    app = create_app(world.settings, store=world.store, ledger=world.ledger, sender=world.sender)
    return AppClient(app, portal, "http://127.0.0.1:8000", {})


def _keyed(world: World, portal: BlockingPortal, owner: str) -> AppClient:
    key, _ = create_key(world.store, owner)
    settings = world.settings.model_copy(update={"auth": True})
    app = create_app(settings, store=world.store, ledger=world.ledger, sender=world.sender)
    return AppClient(app, portal, "https://triptych.example", {"Authorization": f"Bearer {key}"})


@pytest.fixture
def ann(world: World, portal: BlockingPortal) -> AppClient:
    """Ann's client of a server with keys."""
    return _keyed(world, portal, "ann")


@pytest.fixture
def bob(world: World, portal: BlockingPortal) -> AppClient:
    """Bob's client of another process of that server."""
    return _keyed(world, portal, "bob")
