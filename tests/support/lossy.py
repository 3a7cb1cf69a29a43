"""A broker that loses every tenth `run_shard` message and delivers another tenth twice, in every process.

TRIPTYCH_EXTRA_OPERATIONS=...,tests.support.lossy loads it wherever there is a registry; production code knows
nothing of it. It does nothing until the file named by LOSSY_LOG exists, to which it then adds a line for
each message that it touched: "dropped" or "doubled", and the message's arguments.
"""

from __future__ import annotations

import functools
import itertools
import os
import uuid
from collections.abc import Callable
from typing import Any

from kombu.transport.redis import Channel

from pipeline.core.operation import Operation
from pipeline.core.queue import RUN_SHARD

LOSSY_LOG = "LOSSY_LOG"
EVERY = 10
ALL: tuple[Operation, ...] = ()

Put = Callable[..., Any]


def unreliable(put: Put) -> Put:
    """Wraps kombu's last step before Redis, which every producer takes, however it was called."""
    count = itertools.count(1)  # of this process

    @functools.wraps(put)
    def wrapped(channel: Channel, queue: str, message: dict[str, Any], **kwargs: Any) -> Any:
        log = os.environ.get(LOSSY_LOG, "")
        if message["headers"].get("task") != RUN_SHARD or not os.path.exists(log):
            return put(channel, queue, message, **kwargs)
        place = next(count) % EVERY
        if place == 0:
            return _note(log, "dropped", message)
        if place == EVERY // 2:
            _note(log, "doubled", message)
            # A tag of its own, as a second sending has: acknowledging one would take the other's away.
            properties = {**message["properties"], "delivery_tag": str(uuid.uuid4())}
            put(channel, queue, {**message, "properties": properties}, **kwargs)
        return put(channel, queue, message, **kwargs)

    return wrapped


def _note(log: str, what: str, message: dict[str, Any]) -> None:
    with open(log, "a") as file:  # one short write: lines of several processes do not mix
        file.write(f"{what} {message['headers']['argsrepr']}\n")


Channel._put = unreliable(Channel._put)
