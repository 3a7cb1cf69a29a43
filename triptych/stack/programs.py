"""What a stack consists of: two servers, and this package's own processes."""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from triptych import servers

BUCKET = "triptych"
# One thread a library: the processes are as many as the cores, and so are enough.
THREADS = {
    f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "VECLIB_MAXIMUM")
}


@dataclass(frozen=True)
class Process:
    """One or several equal processes for the supervisor.

    Attributes:
        priority: Low ones start first and stop last.
        environment: Beyond what all of them have; "%(process_num)d" stands for the number of a process.
    """

    name: str
    argv: tuple[str, ...]
    priority: int
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    count: int = 1


@dataclass(frozen=True)
class Plan:
    """Everything that a stack runs.

    Attributes:
        servers: They start first; the others once these answer.
        environment: TRIPTYCH_* for every process; holds the keys made for this run.
        health: Where each worker's health file appears.
    """

    url: str
    servers: tuple[servers.Program, ...]
    processes: tuple[Process, ...]
    environment: Mapping[str, str] = field(repr=False)
    health: Path = Path()


def make_plan(data: Path, runtime: Path, *, workers: int, port: int) -> Plan:
    """Decides ports, keys and settings.

    Args:
        data: Where the servers keep their data.
        runtime: A private directory for this run.
        workers: Device worker processes.
        port: Of the API.

    Raises:
        ServerMissing: The servers' wheels are not installed.
    """
    valkey, s3 = servers.valkey(data / "valkey"), servers.seaweedfs(data / "seaweedfs")
    environment = {
        "TRIPTYCH_REDIS_URL": valkey.url,
        "TRIPTYCH_S3_URL": s3.url,
        "TRIPTYCH_S3_PUBLIC_URL": s3.url,
        "TRIPTYCH_S3_ACCESS_KEY": s3.access_key,
        "TRIPTYCH_S3_SECRET_KEY": s3.secret_key,
        "TRIPTYCH_S3_BUCKET": BUCKET,
        "TRIPTYCH_S3_REGION": "us-east-1",
        "TRIPTYCH_API_HOST": servers.HOST,
        "TRIPTYCH_API_PORT": str(port),
        "TRIPTYCH_ARTIFACT_CACHE": str(data / "artifacts"),
    }
    return Plan(
        url=f"http://{servers.HOST}:{port}",
        servers=(valkey.program, s3.program),
        processes=(
            *(
                Process(program.name, program.argv, place, program.env)
                for place, program in enumerate((valkey.program, s3.program), start=1)
            ),
            Process("api", (sys.executable, "-m", "api"), 3),
            _worker("control", 1, runtime, 4),
            _worker("device", workers, runtime, 5),
        ),
        environment={**environment, **_own_packages(), "TMPDIR": str(runtime)},
        health=runtime,
    )


def _worker(role: str, count: int, runtime: Path, priority: int) -> Process:
    environment = {
        "TRIPTYCH_ROLE": role,
        "TRIPTYCH_WORKER_NAME": f"{role}-%(process_num)d",
        "TRIPTYCH_HEALTH_FILE": f"{runtime}/{role}-%(process_num)d.alive",
        **THREADS,
    }
    return Process(role, (sys.executable, "-m", "workers"), priority, environment, count)


def _own_packages() -> dict[str, str]:
    """PYTHONPATH for a source tree that is not installed: the processes run in another directory."""
    root = Path(__file__).resolve().parents[2]
    if root == Path(sysconfig.get_path("purelib")).resolve():
        return {}
    return {"PYTHONPATH": os.pathsep.join(filter(None, (str(root), os.environ.get("PYTHONPATH"))))}
