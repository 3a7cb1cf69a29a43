"""A bounded number of things at once, and the first failure as itself."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

T = TypeVar("T")


async def for_each(items: Iterable[T], work: Callable[[T], Awaitable[None]], *, limit: int) -> None:
    """Awaits `work(item)` for every item, at most `limit` at a time; the first failure ends the rest."""
    waiting = iter(items)

    async def runner() -> None:
        for item in waiting:  # shared: each runner takes the next one
            await work(item)

    try:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(limit):
                tasks.create_task(runner())
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from None
