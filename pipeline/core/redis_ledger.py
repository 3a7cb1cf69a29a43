"""The ledger on Redis or Valkey: each method is one Lua script, or one command."""

from __future__ import annotations

import functools
import json
import math
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

import redis
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import LockError, RedisError, ResponseError
from redis.lock import Lock
from redis.retry import Retry

from pipeline.core import ledger as rules
from pipeline.core.errors import BrokerUnavailable
from pipeline.core.jobs import Counts, JobState
from pipeline.core.keys import ResultName
from pipeline.core.ledger import (
    CONTROL,
    Beat,
    Finish,
    JobView,
    Lease,
    LedgerJob,
    Pulse,
    Refusal,
    Restore,
    Sending,
    Sweep,
)
from pipeline.core.logs import get_logger
from pipeline.core.settings import Settings

P = ParamSpec("P")
T = TypeVar("T")

PREFIX = "triptych:"
SCRIPTS = Path(__file__).resolve().parent / "lua"
RATE_WINDOW_S = 30.0  # the same number stands in finish.lua
log = get_logger(__name__)


def _translated(method: Callable[P, T]) -> Callable[P, T]:
    """Turns what the client raises into BrokerUnavailable."""

    @functools.wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return method(*args, **kwargs)
        except (RedisError, OSError) as error:
            raise BrokerUnavailable(f"the ledger did not answer: {error}") from error

    return call


def make_ledger(settings: Settings) -> RedisLedger:
    """A ledger on the server that the settings name. Connects when first used."""
    # A Unix socket has nothing to keep alive, and its connection class refuses the word.
    keepalive = {} if settings.redis_url.startswith("unix://") else {"socket_keepalive": True}
    client = redis.Redis.from_url(
        settings.redis_url,
        decode_responses=True,
        socket_connect_timeout=5,
        socket_timeout=10,
        health_check_interval=10,
        **keepalive,
        retry=Retry(ExponentialWithJitterBackoff(base=0.05, cap=0.5), 3),
    )
    return RedisLedger(
        client, lease_s=settings.lease_s, lease_max_s=settings.lease_max_s, keep_s=settings.keep_ledger_s
    )


class RedisLedger:
    """See `pipeline.core.ledger.Ledger`. One node: the scripts build their keys themselves."""

    def __init__(self, client: redis.Redis, *, lease_s: float, lease_max_s: float, keep_s: float) -> None:
        self._client = client
        self._lease_s = lease_s
        self._lease_max_s = lease_max_s
        self._keep_s = keep_s
        self._looked_at = ""
        # Just after a start of the server, this long nothing counts as dead.
        self._grace_s = min(10.0, lease_s)
        prelude = (SCRIPTS / "prelude.lua").read_text()
        self._scripts = {
            path.stem: client.register_script(prelude + path.read_text())
            for path in SCRIPTS.glob("*.lua")
            if path.stem != "prelude"
        }

    def _run(self, script: str, *args: str | float) -> Any:
        return self._scripts[script](args=args)

    # -- jobs ---------------------------------------------------------------------------------------
    @_translated
    def enter(self, job: LedgerJob) -> bool:
        return bool(
            self._run(
                "enter",
                job.job_id,
                job.owner,
                job.queue,
                job.operation,
                job.created_at,
                int(job.paused),
                job.priority,
                _optional(job.expires_at),
            )
        )

    @_translated
    def planned(self, job_id: str, plan_token: str, shards: int, items: int) -> None:
        self._run("planned", job_id, plan_token, shards, items)

    @_translated
    def job(self, job_id: str) -> JobView | None:
        answer = self._run("job", job_id)
        if not answer:
            return None
        now, waiting, *flat = answer
        return _view(job_id, dict(zip(flat[::2], flat[1::2], strict=True)), float(now), int(waiting))

    @_translated
    def known(self, job_ids: Sequence[str]) -> set[str]:
        pipe = self._client.pipeline(transaction=False)
        for job_id in job_ids:
            pipe.exists(f"{PREFIX}job:{job_id}")
        return {job_id for job_id, found in zip(job_ids, pipe.execute(), strict=True) if found}

    @_translated
    def winners(self, job_id: str) -> dict[str, str]:
        return cast("dict[str, str]", self._client.hgetall(f"{PREFIX}finished:{job_id}"))

    @_translated
    def settled_winners(self, job_id: str) -> dict[str, str] | None:
        flat = self._run("settled_winners", job_id)
        return None if flat is None else dict(zip(flat[::2], flat[1::2], strict=True))

    @_translated
    def decide(self, job_id: str, *, paused: bool, priority: int, expires_at: float | None) -> None:
        self._run("decide", job_id, int(paused), priority, _optional(expires_at))

    @_translated
    def cancel(self, job_id: str, reason: str, message: str = "") -> None:
        self._run("cancel", job_id, reason, message)

    @_translated
    def ended(self, job_id: str, state: JobState, counts: Counts) -> None:
        numbers = (counts.total, counts.succeeded, counts.failed, counts.cancelled)
        self._run("ended", job_id, state.value, self._keep_s, *numbers)

    @_translated
    def forget(self, job_id: str) -> None:
        self._run("ended", job_id, "", 0, 0, 0, 0, 0)

    # -- entries ------------------------------------------------------------------------------------
    @_translated
    def dispatch(self, queue: str, depth: int) -> list[Sending]:
        nonce = secrets.token_hex(3)
        flat = self._run("dispatch", queue, depth, nonce, rules.LEAST_SLOTS, rules.LOST_AFTER_S, rules.BEAT_S)
        return _sendings(queue, flat)

    @_translated
    def begin(self, job_id: str, entry: str, token: str, *, worker: str, nonce: str) -> Lease | Refusal:
        fresh = secrets.token_hex(3)
        answer = self._run(
            "begin", job_id, entry, token, worker, nonce, fresh, self._lease_s, self._lease_max_s
        )
        if isinstance(answer, str):
            return Refusal(answer)
        token, attempt, lease_s, held, plan_token = answer
        items = tuple(map(int, held.split(","))) if held else ()
        return Lease(job_id, entry, token, int(attempt), float(lease_s), items, plan_token)

    @_translated
    def pulse(self, leases: Sequence[Lease]) -> list[Pulse]:
        if not leases:
            return []
        flat = self._run("pulse", *(part for one in leases for part in (one.job_id, one.entry, one.token)))
        pairs = zip(flat[::2], flat[1::2], strict=True)
        return [Pulse(bool(held), bool(cancelled)) for held, cancelled in pairs]

    @_translated
    def native(self, lease: Lease, items: Iterable[int]) -> None:
        self._run("native", lease.job_id, lease.entry, lease.token, ",".join(map(str, items)))

    @_translated
    def finish(self, lease: Lease, result: str, *, seconds: float) -> Finish:
        name = ResultName.parse(result)
        counts = (name.succeeded, name.failed, name.cancelled)
        held = ",".join(map(str, name.held))
        answer = self._run(
            "finish", lease.job_id, lease.entry, lease.token, result, *counts, held, max(seconds, 0.0)
        )
        return Finish(answer)

    @_translated
    def finish_control(self, lease: Lease) -> None:
        self._run("finish_control", lease.job_id, lease.entry, lease.token)

    @_translated
    def release(self, lease: Lease, *, blame: bool) -> None:
        self._run("release", lease.job_id, lease.entry, lease.token, int(blame))

    # -- the steward --------------------------------------------------------------------------------
    @_translated
    def sweep(self, queue: str, depth: int) -> Sweep:
        resend, returned, undeliverable, expired = self._run(
            "sweep",
            queue,
            depth,
            rules.MAX_SENDS,
            rules.LOST_AFTER_S,
            rules.OVERTAKEN_AFTER_S,
            self._grace_s,
        )
        return Sweep(tuple(_sendings(queue, resend)), tuple(returned), tuple(undeliverable), tuple(expired))

    @_translated
    def queues(self) -> list[str]:
        return [CONTROL, *sorted(cast("set[str]", self._client.smembers(f"{PREFIX}queues")))]

    @_translated
    def reconciled(self) -> bool:
        self._looked_at = self._run_id()
        return self._client.get(f"{PREFIX}run_id") == self._looked_at

    @_translated
    def restore(self, job: Restore) -> None:
        finished = []
        for entry, text in job.finished.items():
            name = ResultName.parse(text)
            finished.append([entry, text, name.succeeded, name.failed, name.cancelled, list(name.held)])
        wanted = {
            "job_id": job.job.job_id,
            "owner": job.job.owner,
            "queue": job.job.queue,
            "operation": job.job.operation,
            "created_at": str(job.job.created_at),
            "paused": int(job.job.paused),
            "priority": job.job.priority,
            "expires_at": _optional(job.job.expires_at),
            "plan_token": job.plan_token,
            "shards": job.shards,
            "items": job.items,
            "finished": finished,
            "cancelled": job.cancelled,
        }
        self._run("restore", json.dumps(wanted))

    @_translated
    def confirm(self) -> None:
        # Not the present run, if the server has started anew since `reconciled` looked.
        self._client.set(f"{PREFIX}run_id", self._looked_at or self._run_id())

    def _run_id(self) -> str:
        return str(self._client.info("server")["run_id"])

    # -- workers ------------------------------------------------------------------------------------
    @_translated
    def beat(self, beat: Beat) -> None:
        seconds, micros = self._client.time()
        record = {
            "at": seconds + micros / 1e6,
            "queues": beat.queues,
            "slots": beat.slots,
            "operations": beat.operations,
            "device": beat.device,
        }
        self._client.hset(f"{PREFIX}workers", beat.worker, json.dumps(record))

    @_translated
    def depart(self, worker: str) -> None:
        self._client.hdel(f"{PREFIX}workers", worker)

    @_translated
    def workers(self) -> list[Beat]:
        seconds, micros = self._client.time()
        beats = []
        for worker, text in cast("dict[str, str]", self._client.hgetall(f"{PREFIX}workers")).items():
            record = json.loads(text)
            silent_s = seconds + micros / 1e6 - record["at"]
            if silent_s > 60 * rules.BEAT_S:
                self._client.hdel(f"{PREFIX}workers", worker)  # gone for good
            elif silent_s <= rules.BEAT_S:
                queues, operations = tuple(record["queues"]), tuple(record["operations"])
                beats.append(Beat(worker, queues, record["slots"], operations, record["device"]))
        return beats

    @_translated
    def pace(self, operation: str) -> float | None:
        pace = self._client.hget(f"{PREFIX}pace", operation)
        return None if pace is None else float(cast("str", pace))

    @_translated
    def backlog(self) -> dict[str, tuple[int, int]]:
        queues = self.queues()
        pipe = self._client.pipeline(transaction=False)
        for queue in queues:
            pipe.hget(f"{PREFIX}backlog", queue)
            pipe.zcard(f"{PREFIX}sent:{queue}")
            pipe.zcard(f"{PREFIX}running:{queue}")
        flat = [int(value or 0) for value in pipe.execute()]
        return {queue: (flat[3 * i], flat[3 * i + 1] + flat[3 * i + 2]) for i, queue in enumerate(queues)}

    @_translated
    def durable(self) -> None:
        try:
            local, _ = self._client.execute_command("WAITAOF", 1, 0, 2000)  # type: ignore[no-untyped-call]
        except ResponseError as error:
            # Older than 7.2, or no append-only file: then a power loss is found by reconciliation.
            log.debug("ledger.no_waitaof", error=str(error))
            return
        if not local:
            log.warning("ledger.disk_slow")

    @_translated
    def check(self) -> None:
        self._client.ping()

    def lock(self, name: str, *, timeout_s: float) -> SoleHolder:
        """A lock of that name; it ends by itself when its holder is silent for `timeout_s`."""
        return SoleHolder(self._client, name, timeout_s)


def _optional(value: float | None) -> str | float:
    return "" if value is None else value


def _sendings(queue: str, flat: list[str]) -> list[Sending]:
    return [Sending(queue, *flat[i : i + 3]) for i in range(0, len(flat), 3)]


def _view(job_id: str, fields: dict[str, str], now: float, waiting: int) -> JobView:
    def optional(name: str) -> float | None:
        return float(fields[name]) if fields.get(name) else None

    started_at = optional("started_at")
    return JobView(
        job_id=job_id,
        owner=fields["owner"],
        queue=fields["queue"],
        operation=fields["operation"],
        state=JobState(fields["state"]),
        paused=fields.get("paused") == "1",
        priority=int(fields.get("priority", 0)),
        counts=Counts(
            total=int(fields.get("items", 0)),
            succeeded=int(fields.get("succeeded", 0)),
            failed=int(fields.get("failed", 0)),
            cancelled=int(fields.get("cancelled", 0)),
        ),
        created_at=float(fields["created_at"]),
        started_at=started_at,
        expires_at=optional("expires_at"),
        reason=fields.get("reason", ""),
        message=fields.get("message", ""),
        plan_token=fields.get("plan_token", ""),
        shards=int(fields.get("shards", 0)),
        entries=int(fields.get("entries", 0)),
        finished=int(fields.get("finished", 0)),
        rate=_rate(fields, started_at, now),
        waiting=waiting,
        in_flight=int(fields.get("in_flight", 0)),
    )


def _rate(fields: dict[str, str], started_at: float | None, now: float) -> float:
    """Items a second: the faded sum of finish.lua, corrected for a job younger than the window."""
    if started_at is None or "rate" not in fields:
        return 0.0
    faded = float(fields["rate"]) * math.exp(-max(now - float(fields["rate_at"]), 0.0) / RATE_WINDOW_S)
    return faded / max(1.0 - math.exp(-max(now - started_at, 1e-3) / RATE_WINDOW_S), 1e-9)


def wait_until_up(ledger: RedisLedger, timeout_s: float) -> None:
    """Waits until the server answers.

    Raises:
        BrokerUnavailable: It did not within `timeout_s`.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            return ledger.check()
        except BrokerUnavailable:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


class SoleHolder:
    """A lock that one process holds for as long as it keeps saying so."""

    def __init__(self, client: redis.Redis, name: str, timeout_s: float) -> None:
        self._lock = Lock(
            client, f"{PREFIX}lock:{name}", timeout=timeout_s, blocking=False, thread_local=False
        )

    @_translated
    def hold(self) -> bool:
        """Takes or keeps the lock; false while another process has it."""
        try:
            if self._lock.owned():
                self._lock.reacquire()
                return True
            return bool(self._lock.acquire())
        except LockError:
            return False  # it ran out between the two

    @_translated
    def release(self) -> None:
        """Lets another process have it at once."""
        if self._lock.owned():
            self._lock.release()
