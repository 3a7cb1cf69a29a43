"""supervisord as a child: it restarts what dies, with growing pauses, and stops all in order.

It dies with us, and every process of its own dies with it, by kill -9 too: `triptych.tether`.
"""

from __future__ import annotations

import shlex
import sys
import xmlrpc.client
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen
from typing import Any

from triptych import servers, tether
from triptych.cli import FAILED, CommandError
from triptych.stack.programs import Process

STOP_S = 30  # for the shards in hand
FOR_EVER = 1_000_000  # a stack that runs for weeks must outlive any number of failures
BROKEN = ("BACKOFF", "FATAL", "EXITED", "UNKNOWN")


@dataclass(frozen=True)
class Supervisor:
    """A running supervisord."""

    process: Popen[bytes]
    program: servers.Program
    socket: Path
    logs: Path

    def start(self, name: str) -> None:
        """Starts a process, or a group of equal ones."""
        self._ask().supervisor.startProcessGroup(name, False)

    def broken(self) -> list[str]:
        """Names of processes that ended by themselves and are not up again yet."""
        states: list[dict[str, Any]] = self._ask().supervisor.getAllProcessInfo()
        return [str(state["name"]) for state in states if state["statename"] in BROKEN]

    def stop(self) -> None:
        """Stops everything in order; what does not end within its time is killed."""
        servers.stop(self.program, self.process, grace_s=3 * STOP_S)

    def last_words(self, name: str) -> str:
        """The end of a process's log."""
        path = self.logs / f"{name}.log"
        lines = path.read_text(errors="replace").strip().splitlines() if path.is_file() else []
        return "\n".join(lines[-5:])

    def _ask(self) -> Any:
        # Its transport is made for one answer after the other, and remembers nothing that we need.
        from supervisor.xmlrpc import SupervisorTransport  # type: ignore[import-untyped]  # noqa: PLC0415

        return xmlrpc.client.ServerProxy(
            "http://127.0.0.1", transport=SupervisorTransport(serverurl=f"unix://{self.socket}")
        )


def start_supervisor(
    processes: Sequence[Process], environment: Mapping[str, str], runtime: Path, logs: Path
) -> Supervisor:
    """Starts supervisord with everything configured and nothing running.

    Args:
        processes: What it will run.
        environment: For all of them.
        runtime: A private directory, with a short path: a socket goes there.
        logs: Where logs go, one file a process.
    """
    socket = runtime / "supervisor.sock"
    configuration = runtime / "supervisord.conf"
    # supervisor expands the path of a log twice, so no escape protects a "%" in it: it goes by another name.
    (runtime / "logs").symlink_to(logs)
    sections = [_itself(socket, runtime), *(_section(process, runtime / "logs") for process in processes)]
    configuration.touch(mode=0o600)
    configuration.write_text("\n".join(sections))
    argv = (sys.executable, "-m", "supervisor.supervisord", "--nodaemon", f"--configuration={configuration}")
    program = servers.Program("supervisord", argv, dict(environment), ready=socket.exists)
    process = servers.start(program, logs / "supervisord.log")
    supervisor = Supervisor(process, program, socket, logs)
    try:
        servers.wait_ready(program, process, 20)
    except servers.NotReady as error:
        supervisor.stop()
        raise CommandError(f"{error}: {supervisor.last_words('supervisord')}", FAILED) from error
    return supervisor


def _itself(socket: Path, runtime: Path) -> str:
    return f"""\
[unix_http_server]
file={_literal(socket)}
chmod=0600

[supervisord]
logfile=/dev/null
logfile_maxbytes=0
pidfile={_literal(runtime / "supervisord.pid")}
directory={_literal(runtime)}
childlogdir={_literal(runtime)}

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
"""


def _section(process: Process, logs: Path) -> str:
    command = shlex.join(tether.command(process.argv))
    several = process.count > 1 or "%(process_num)d" in "".join(process.environment.values())
    name = "%(program_name)s-%(process_num)d" if several else "%(program_name)s"
    environment = ",".join(f'{key}="{_escaped(value)}"' for key, value in process.environment.items())
    return f"""\
[program:{process.name}]
command={_literal(command)}
process_name={name}
numprocs={process.count}
priority={process.priority}
environment={environment}
autostart=false
autorestart=true
startsecs=1
startretries={FOR_EVER}
stopsignal=TERM
stopwaitsecs={STOP_S}
killasgroup=true
redirect_stderr=true
stdout_logfile={_literal(logs)}/{name}.log
stdout_logfile_maxbytes=10MB
stdout_logfile_backups=2
"""


def _literal(value: str | Path) -> str:
    """A value in which supervisor expands nothing.

    Raises:
        CommandError: Its configuration cannot carry it.
    """
    text = str(value)
    if "\n" in text or " ;" in text or " #" in text:
        raise CommandError(f"choose another data directory: the supervisor cannot carry {text!r}")
    return text.replace("%", "%%")


def _escaped(value: str) -> str:
    return _literal(value).replace("%%(process_num)d", "%(process_num)d")
