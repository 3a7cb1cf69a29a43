"""Ledgers for tests: the Redis one with a clock that the test moves, and the one in memory beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import redis

from pipeline.core.memory import MemoryLedger
from pipeline.core.redis_ledger import SCRIPTS, RedisLedger

CLOCK_CALL = "redis.call('TIME')"
CLOCK_KEY = "test:clock"


@dataclass
class Clock:
    """A server's time that stands still until it is moved."""

    client: redis.Redis
    micros: int = 1_700_000_000_000_000

    def __post_init__(self) -> None:
        self.advance(0)

    def advance(self, seconds: float) -> None:
        self.micros += round(seconds * 1e6)
        self.client.rpush(CLOCK_KEY, *divmod(self.micros, 1_000_000))
        self.client.ltrim(CLOCK_KEY, -2, -1)

    def __call__(self) -> float:
        return self.micros / 1e6


class ClockedRedis(redis.Redis):
    """A client whose TIME is the test's."""

    def time(self, **kwargs: object) -> tuple[int, int]:
        seconds, micros = cast("list[str]", self.lrange(CLOCK_KEY, 0, 1))
        return int(seconds), int(micros)


def clocked_redis_ledger(
    redis_url: str, *, lease_s: float = 20, lease_max_s: float = 300, keep_s: float = 3600
) -> tuple[RedisLedger, Clock]:
    """The shipped scripts on a real server, but for where they read the time."""
    client = ClockedRedis.from_url(redis_url, decode_responses=True)
    clock = Clock(client)
    ledger = RedisLedger(client, lease_s=lease_s, lease_max_s=lease_max_s, keep_s=keep_s)
    ledger._grace_s = 0  # the real server's uptime has no part in this
    prelude = (SCRIPTS / "prelude.lua").read_text()
    assert CLOCK_CALL in prelude
    prelude = prelude.replace(CLOCK_CALL, f"redis.call('LRANGE', '{CLOCK_KEY}', 0, 1)")
    for name in ledger._scripts:
        text = (SCRIPTS / f"{name}.lua").read_text()
        assert CLOCK_CALL not in text
        ledger._scripts[name] = client.register_script(prelude + text)
    return ledger, clock


def twin_ledgers(
    redis_url: str, *, lease_s: float = 20, lease_max_s: float = 300, keep_s: float = 3600
) -> tuple[RedisLedger, MemoryLedger, Clock]:
    """Both ledgers on one clock."""
    ledger, clock = clocked_redis_ledger(redis_url, lease_s=lease_s, lease_max_s=lease_max_s, keep_s=keep_s)
    memory = MemoryLedger(lease_s=lease_s, lease_max_s=lease_max_s, keep_s=keep_s, now=clock)
    return ledger, memory, clock
