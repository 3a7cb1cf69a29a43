"""The app for Celery's own commands, e.g. `celery -A workers inspect active` or `celery -A workers flower`.

It has the project's settings, as every process on one broker must, and no tasks: start workers with
`python -m workers`, never with `celery worker`.
"""

from __future__ import annotations

from celery import Celery

from pipeline.core.queue import make_celery
from pipeline.core.settings import load_settings


def __getattr__(name: str) -> Celery:
    """Makes `app` when Celery asks for it: importing this module reads no settings."""
    if name == "app":
        return make_celery(load_settings())
    raise AttributeError(name)
