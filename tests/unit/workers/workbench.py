"""A worker process's parts without servers: a store and a ledger in memory, a handler of the test's own."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pipeline.core.errors import ObjectNotFound
from pipeline.core.jobs import (
    Inputs,
    Item,
    JobSpec,
    ManifestInput,
    ManifestLine,
    Plan,
    ResultLine,
    Step,
    Summary,
)
from pipeline.core.keys import JobKeys, ResultName
from pipeline.core.ledger import CONTROL, Finish, JobView, Lease, LedgerJob, Pulse, Refusal, Sending
from pipeline.core.memory import MemoryLedger, MemoryObjectStore
from pipeline.core.operation import Handler, ItemInput, ItemOutput, Operation, Params, Result
from pipeline.core.settings import Settings
from pipeline.operations import Registry
from workers.gate import QuietGate
from workers.pulse import Hand
from workers.related import Related
from workers.runtime import Runtime

JOB = "job_" + "0" * 32
QUEUE = "work.bulk.cpu"


class Clock:
    """The ledger's time, in seconds."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class CountingWatchdog:
    """A watchdog that ends nothing and remembers."""

    def __init__(self) -> None:
        self.moves = 0
        self.looks: list[bool] = []

    def progress(self) -> None:
        self.moves += 1

    def look(self, *, idle: bool) -> None:
        self.looks.append(idle)


class ByName:
    """A handler that does what the test says."""

    def __init__(self, run: Callable[[ItemInput], ItemOutput]) -> None:
        self._run = run
        self.ran: list[str] = []

    def warm_up(self) -> None:
        """Nothing is cold."""

    def run(self, item: ItemInput) -> ItemOutput:
        self.ran.append(item.name)
        return self._run(item)


class Given:
    """Hands out one handler for everything, or raises."""

    def __init__(self, handler: Any) -> None:
        self._handler = handler

    def get(self, operation: Operation, digests: Mapping[str, str]) -> Handler:
        if isinstance(self._handler, Exception):
            raise self._handler
        handler: Handler = self._handler
        return handler

    def of_job(self, operation: Operation, step: Step, digests: Mapping[str, str]) -> Handler:
        return self.get(operation, digests)


class AnyParams(Params):
    """Nothing to choose."""


class BytesIn(Result):
    """What went in."""

    bytes_in: int


def spec(operation: str = "copy", inputs: Inputs | None = None, **fields: Any) -> JobSpec:
    """A job as the API would have stored it."""
    values: dict[str, Any] = {
        "id": JOB,
        "owner": "ann",
        "created_at": 900.0,
        "steps": [Step(operation=operation)],
        "inputs": inputs or ManifestInput(key="owners/ann/manifest.jsonl"),
        "artifacts": {},
        "queue": QUEUE,
        "read_prefixes": ["owners/ann/"],
        "write_prefixes": ["owners/ann/"],
        "request_sha256": "",
    }
    return JobSpec.model_validate({**values, **fields})


def manifest_lines(*lines: Mapping[str, Any] | str) -> bytes:
    """The body of a JSONL manifest."""
    return b"".join((line if isinstance(line, str) else json.dumps(line)).encode() + b"\n" for line in lines)


class Bench:
    """A job at every point of its way, moved by hand."""

    def __init__(self, **settings: Any) -> None:
        self.clock = Clock()
        self.store = MemoryObjectStore()
        self.ledger = MemoryLedger(now=self.clock)
        self.ledger.confirm()
        self.watchdog = CountingWatchdog()
        self.handler = ByName(lambda item: ItemOutput(BytesIn(bytes_in=len(item.data)), item.data))
        self.runtime = Runtime(
            settings=Settings(_env_file=None, **settings),  # type: ignore[call-arg]
            name="test",
            store=self.store,
            ledger=self.ledger,  # type: ignore[arg-type]
            app=None,  # type: ignore[arg-type]
            sender=None,  # type: ignore[arg-type]
            registry=Registry(["tests.support.operations"]),
            handlers=Given(self.handler),  # type: ignore[arg-type]
            related=Related(self.store, 1 << 20),
            gate=QuietGate(),
            watchdog=self.watchdog,  # type: ignore[arg-type]
            pulse=None,  # type: ignore[arg-type]
            io=ThreadPoolExecutor(8, thread_name_prefix="io"),
        )
        self._nonces = iter(range(10**6))
        self._sent: list[Sending] = []

    def close(self) -> None:
        self.runtime.io.shutdown()

    def use(self, store: MemoryObjectStore) -> None:
        """Puts another store, with the same objects, in the place of the one that is there."""
        store._objects = self.store._objects
        self.store = store
        object.__setattr__(self.runtime, "store", store)
        object.__setattr__(self.runtime, "related", Related(store, 1 << 20))

    def empty_ledger(self) -> MemoryLedger:
        """Redis, emptied, and taken for reconciled."""
        self.ledger = MemoryLedger(now=self.clock)
        object.__setattr__(self.runtime, "ledger", self.ledger)
        self.ledger.confirm()
        self._sent.clear()
        return self.ledger

    def enter(self, job: JobSpec) -> JobSpec:
        """Stores a job and makes the ledger know it, as a submission does."""
        keys = JobKeys(job.id)
        self.store.put(keys.active, b"")
        self.store.put(keys.spec, job.model_dump_json().encode())
        told = LedgerJob(job.id, job.owner, job.queue, job.operations, job.created_at)
        assert self.ledger.enter(told)
        return job

    def put_inputs(self, *names: str) -> list[str]:
        """Objects whose bytes are their own names."""
        keys = [f"owners/ann/{name}" for name in names]
        for key, name in zip(keys, names, strict=True):
            self.store.put(key, name.encode())
        return keys

    def planned(self, job: JobSpec, *shards: list[Item]) -> JobSpec:
        """Enters a job that is planned already, these items a shard."""
        self.enter(job)
        hand = self.begin(CONTROL)
        keys, token = JobKeys(job.id), hand.lease.token
        for number, items in enumerate(shards):
            lines = b"".join(item.model_dump_json(exclude_none=True).encode() + b"\n" for item in items)
            self.store.put(keys.manifest(token, number), lines)
        plan = Plan(token=token, shards=len(shards), items=sum(map(len, shards)))
        self.store.put(keys.plan, plan.model_dump_json().encode())
        self.ledger.planned(job.id, plan.token, plan.shards, plan.items)
        self.ledger.finish_control(hand.lease)
        return job

    def begin(self, queue: str = QUEUE, entry: str | None = None) -> Hand:
        """Has entries of a queue sent, and begins one of them: the first, or the one that is named."""
        self._sent += self.ledger.dispatch(queue, 0)
        chosen = next(one for one in self._sent if one.queue == queue and entry in (None, one.entry))
        self._sent.remove(chosen)
        lease = self.ledger.begin(
            chosen.job_id, chosen.entry, chosen.token, worker="test", nonce=str(next(self._nonces))
        )
        assert not isinstance(lease, Refusal)
        return Hand(lease, self.ledger)

    def summary(self) -> Summary | None:
        try:
            return Summary.model_validate_json(self.store.get(JobKeys(JOB).summary))
        except ObjectNotFound:
            return None

    def plan(self) -> Plan | None:
        try:
            return Plan.model_validate_json(self.store.get(JobKeys(JOB).plan))
        except ObjectNotFound:
            return None

    def manifest(self) -> list[list[Item]]:
        """The planned items by shard."""
        plan = self.plan()
        assert plan is not None
        bodies = [self.store.get(JobKeys(JOB).manifest(plan.token, shard)) for shard in range(plan.shards)]
        return [[Item.model_validate_json(line) for line in body.splitlines()] for body in bodies]

    def lines(self, key: str) -> list[ResultLine]:
        return [ResultLine.model_validate_json(line) for line in self.store.get(key).splitlines()]

    def view(self) -> JobView:
        view = self.ledger.job(JOB)
        assert view is not None
        return view

    def stored(self, prefix: str = "") -> list[str]:
        return [info.key for info in self.store.list(prefix)]


class ScriptedLedger:
    """Answers pulses as told: a list of `Pulse`, or an error to raise."""

    def __init__(self, *answers: list[Pulse] | Exception) -> None:
        self._answers: Iterator[list[Pulse] | Exception] = iter(answers)
        self.pulses = 0
        self.beats = 0
        self.departed: list[str] = []
        self.native_calls: list[tuple[int, ...]] = []

    def pulse(self, leases: list[Lease]) -> list[Pulse]:
        self.pulses += 1
        answer = next(self._answers, None)
        if isinstance(answer, Exception):
            raise answer
        return answer if answer is not None else [Pulse(True, False) for _ in leases]

    def beat(self, beat: object) -> None:
        self.beats += 1

    def depart(self, worker: str) -> None:
        self.departed.append(worker)

    def native(self, lease: Lease, items: tuple[int, ...]) -> None:
        self.native_calls.append(items)

    def finish(self, lease: Lease, result: str, *, seconds: float) -> Finish:
        raise AssertionError("nothing is finished here")


def lease(entry: str = "0", *, attempt: int = 1, held: tuple[int, ...] = ()) -> Lease:
    return Lease(JOB, entry, f"tok{attempt}", attempt, 20.0, held, "plan")


def result_name(token: str, succeeded: int, failed: int = 0, held: tuple[int, ...] = ()) -> str:
    return str(ResultName(token, succeeded, failed, 0, held))


def manifest_line(name: str, **fields: Any) -> ManifestLine:
    return ManifestLine(custom_id=name, input=f"owners/ann/{name}", **fields)


def wait_until(condition: Callable[[], bool], timeout_s: float = 10) -> None:
    """Polls until it holds."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)
