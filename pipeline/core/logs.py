"""Structured logs: one JSON object (or one line of text) an event, with job, item and request ids."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any

import structlog

if TYPE_CHECKING:
    from pipeline.core.settings import Settings

Event = MutableMapping[str, Any]

# Names of the ids that travel from the API to the worker; bound with `structlog.contextvars`.
bound = structlog.contextvars.bound_contextvars


def configure_logs(settings: Settings, **fields: str) -> None:
    """Sends every log record of this process, the libraries' too, through structlog to stderr.

    Args:
        settings: Level and format.
        fields: Names that every line of this process carries, e.g. `process="api"`.
    """

    def process_fields(_logger: Any, _method: str, event: Event) -> Event:
        return {**fields, **event}  # in every thread, which context variables are not

    shared: list[Any] = [
        process_fields,
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    renderer: Any = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if settings.log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.basicConfig(handlers=[handler], level=settings.log_level.upper(), force=True)
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # its retries are counted, not news


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger whose first argument is a stable dotted event name, e.g. `item.stored`."""
    return structlog.stdlib.get_logger(name)
