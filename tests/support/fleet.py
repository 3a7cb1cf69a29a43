"""Worker and API processes for tests, restarted when they die, as whoever runs Triptych restarts them."""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from subprocess import Popen
from typing import Any

import httpx
import redis

from pipeline.core.artifact import built_in_digest
from pipeline.core.errors import ObjectNotFound
from pipeline.core.jobs import (
    Counts,
    Decision,
    JobSpec,
    KeysInput,
    ManifestInput,
    PrefixInput,
    ResultLine,
    Step,
    Summary,
    new_job_id,
)
from pipeline.core.keys import JobKeys
from pipeline.core.ledger import CONTROL, JobView, LedgerJob
from pipeline.core.queue import Sender, make_celery, queue_name
from pipeline.core.redis_ledger import PREFIX, make_ledger
from pipeline.core.s3 import make_store
from pipeline.core.settings import Settings
from pipeline.operations import Registry
from tests.support.servers import environment
from triptych import servers


class Fleet:
    """Processes of one deployment. One thread starts and restarts them, as a tether holds to its thread."""

    def __init__(self, settings: Settings, directory: Path, *, restart: bool = True) -> None:
        self.settings = settings
        self.directory = directory
        self.restart = restart
        self.restarts = 0
        self._programs: dict[str, servers.Program] = {}
        self._processes: dict[str, Popen[bytes]] = {}
        self._orders: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._supervise, daemon=True)
        self._thread.start()
        self.ledger = make_ledger(settings)
        self.store = make_store(settings)
        self.sender = Sender(make_celery(settings), self.ledger)
        self.redis = redis.Redis.from_url(settings.redis_url, decode_responses=True)

    # -- processes ------------------------------------------------------------------------------------
    def worker(self, name: str, *, role: str = "device", **changes: object) -> None:
        """Starts a worker process."""
        changed = {"role": role, "worker_name": name, **changes}
        settings = self.settings.model_copy(update=changed)
        env = environment(settings) | {"OMP_NUM_THREADS": "1"}
        self._start(servers.Program(name, (sys.executable, "-m", "workers"), env))

    def workers(self, count: int, **changes: object) -> None:
        """A control worker and `count` device workers; returns when all have shown themselves."""
        self.worker("control", role="control", steward=changes.pop("steward", self.settings.steward))
        for number in range(count):
            self.worker(f"device{number}", **changes)
        self.wait_workers(count + 1)

    def wait_workers(self, count: int, timeout_s: float = 60) -> None:
        wait_for(lambda: len(self.ledger.workers()) >= count, timeout_s, f"{count} workers")

    def api(self, timeout_s: float = 30) -> str:
        """Starts an API process; returns its address once it answers."""
        settings = self.settings.model_copy(update={"api_port": servers.free_port()})
        env = environment(settings)
        self._start(servers.Program("api", (sys.executable, "-m", "api"), env))
        url = f"http://{settings.api_host}:{settings.api_port}"
        wait_for(lambda: httpx.get(f"{url}/readyz").status_code == 200, timeout_s, "the API")
        return url

    def program(self, name: str, argv: tuple[str, ...], env: Mapping[str, str]) -> None:
        self._start(servers.Program(name, argv, dict(env)))

    def pid(self, name: str) -> int:
        return self._processes[name].pid

    def pids(self, prefix: str = "") -> dict[str, int]:
        return {name: process.pid for name, process in self._processes.items() if name.startswith(prefix)}

    def signal(self, number: signal.Signals, prefix: str = "device") -> None:
        """Sends a signal to every process whose name begins so."""
        for name, process in list(self._processes.items()):
            if name.startswith(prefix):
                os.kill(process.pid, number)

    def stop(self) -> None:
        self._orders.put(None)
        self._thread.join(60)

    def log(self, name: str) -> str:
        return (self.directory / f"{name}.log").read_text()

    def events(self, prefix: str = "", event: str = "") -> list[dict[str, Any]]:
        """Log records of the processes whose name begins so (log_format="json"), in the order of time."""
        found = []
        for path in self.directory.glob(f"{prefix}*.log"):
            for line in path.read_text().splitlines():
                if line.startswith("{") and line.endswith("}"):  # others are not ours, or cut by a kill
                    record = json.loads(line)
                    if event in ("", record.get("event")):
                        found.append({**record, "from": path.stem})
        return sorted(found, key=lambda record: str(record["timestamp"]))

    def running(self, queue: str) -> set[str]:
        """The entries of a queue that have begun and not finished, as "job/entry"."""
        return set(self.redis.zrange(f"{PREFIX}running:{queue}", 0, -1))

    def sent(self, queue: str) -> set[str]:
        """The entries of a queue that were sent and have not begun, as "job/entry"."""
        return set(self.redis.zrange(f"{PREFIX}sent:{queue}", 0, -1))

    def _start(self, program: servers.Program) -> None:
        done = threading.Event()

        def order() -> None:
            self._programs[program.name] = program
            self._processes[program.name] = self._run(program)
            done.set()

        self._orders.put(order)
        assert done.wait(30)

    def _run(self, program: servers.Program) -> Popen[bytes]:
        return servers.start(program, self.directory / f"{program.name}.log")

    def _supervise(self) -> None:
        while True:
            try:
                order = self._orders.get(timeout=0.2)
            except queue.Empty:
                self._restart_dead()
                continue
            if order is None:
                break
            order()
        for name, process in self._processes.items():
            servers.stop(self._programs[name], process, grace_s=5 if name == "control" else 10)

    def _restart_dead(self) -> None:
        for name, process in list(self._processes.items()):
            if self.restart and process.poll() is not None:
                self._processes[name] = self._run(self._programs[name])
                self.restarts += 1

    # -- jobs -----------------------------------------------------------------------------------------
    def submit(
        self,
        operation: str,
        inputs: Iterable[str] | str | ManifestInput,
        params: Mapping[str, Any] | None = None,
        *,
        owner: str = "ann",
        enter: bool = True,
    ) -> str:
        """Submits a job as the API does (which has tests of its own): keys, a prefix to list, a manifest."""
        job_id = new_job_id()
        form: PrefixInput | KeysInput | ManifestInput
        if isinstance(inputs, ManifestInput):
            form = inputs
        elif isinstance(inputs, str):
            form = PrefixInput(prefix=inputs)
        else:
            form = KeysInput(keys=list(inputs))
        known = Registry(self.settings.extra_operation_modules).get(operation)
        spec = JobSpec(
            id=job_id,
            owner=owner,
            created_at=time.time(),
            steps=[Step(operation=operation, params=dict(params or {}))],
            inputs=form,
            artifacts={name: built_in_digest(name) for name in known.artifacts},
            queue=queue_name("bulk", "cpu"),
            read_prefixes=[""],
            write_prefixes=[""],
            request_sha256="",
        )
        keys = JobKeys(job_id)
        self.store.put(keys.active, b"")
        self.store.put(keys.spec, spec.model_dump_json().encode())
        if enter:
            self.ledger.enter(LedgerJob(job_id, owner, spec.queue, operation, spec.created_at))
            self.sender.dispatch(CONTROL)
        return job_id

    def decide(self, job_id: str, decision: Decision) -> None:
        self.store.put(JobKeys(job_id).decision, decision.model_dump_json().encode())

    def view(self, job_id: str) -> JobView | None:
        return self.ledger.job(job_id)

    def summary(self, job_id: str) -> Summary | None:
        try:
            return Summary.model_validate_json(self.store.get(JobKeys(job_id).summary))
        except ObjectNotFound:
            return None

    def wait(self, job_id: str, timeout_s: float) -> Summary:
        """Waits until the job has ended."""
        wait_for(lambda: self.summary(job_id) is not None, timeout_s, f"{job_id} to end")
        summary = self.summary(job_id)
        assert summary is not None
        return summary

    def wait_done(self, job_id: str, items: int, timeout_s: float) -> None:
        """Waits until that many items of a job are done."""

        def enough() -> bool:
            view = self.view(job_id)
            return view is not None and (view.counts.done >= items or view.state.ended)

        wait_for(enough, timeout_s, f"{items} items")

    def results(self, job_id: str) -> list[ResultLine]:
        lines = self.store.get(JobKeys(job_id).results).splitlines()
        return [ResultLine.model_validate_json(line) for line in lines]

    def assert_exact(self, job_id: str, items: int, *, failed: int = 0) -> list[ResultLine]:
        """Every item has exactly one line, in input order, and all but `failed` succeeded."""
        lines = self.results(job_id)
        assert [line.index for line in lines] == list(range(items))
        summary = self.summary(job_id)
        assert summary is not None
        assert summary.counts == Counts(total=items, succeeded=items - failed, failed=failed)
        assert sum(line.status == "failed" for line in lines) == failed
        return lines


def wait_for(condition: Callable[[], bool], timeout_s: float, what: str) -> None:
    """Polls until it holds; what the servers' absence raises meanwhile is part of the wait."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            if condition():
                return
            error: Exception | None = None
        except Exception as raised:  # noqa: BLE001 - kept, and shown if the wait is in vain
            error = raised
        assert time.monotonic() < deadline, f"waited {timeout_s:g} s for {what} ({error})"
        time.sleep(0.05)
