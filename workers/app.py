"""The Celery worker of this process: its tasks, and the threads that live as long as it does."""

from __future__ import annotations

from typing import Any

from celery import Celery, bootsteps

from pipeline.core.artifact import BUILT_IN
from pipeline.core.artifact_store import publish_artifact
from pipeline.core.errors import TriptychError
from pipeline.core.logs import get_logger
from pipeline.core.queue import queues_of
from workers import tasks
from workers.runtime import Runtime
from workers.steward import Steward

log = get_logger(__name__)


def prepare(runtime: Runtime) -> Celery:
    """Registers tasks and threads; call `run` next."""
    app = runtime.app
    tasks.register(app, runtime)
    steward = Steward(runtime) if runtime.settings.role == "control" and runtime.settings.steward else None

    class Threads(bootsteps.StartStopStep):  # type: ignore[misc]
        """Starts after the pool, stops when the pool has finished what it had in hand."""

        requires = ("celery.worker.components:Pool",)

        def start(self, parent: Any) -> None:  # noqa: ARG002 - Celery passes the worker
            runtime.pulse.start()
            tasks.dispatch(runtime, *queues_of(runtime.settings))
            if steward is not None:
                _publish(runtime)
                steward.start()
            log.info("worker.ready", worker=runtime.name, threads=runtime.settings.threads)

        def stop(self, parent: Any) -> None:  # noqa: ARG002
            if steward is not None:
                steward.stop()

        def terminate(self, parent: Any) -> None:
            self.stop(parent)

    app.steps["worker"].add(Threads)
    return app


def run(runtime: Runtime) -> int:
    """Runs the worker until it is told to stop. SIGTERM lets it finish the entries in hand.

    Returns:
        Celery's exit code.
    """
    settings = runtime.settings
    argv = [
        "worker",
        "--pool=threads",
        f"--concurrency={settings.threads}",
        f"--queues={','.join(queues_of(settings))}",
        f"--hostname={runtime.name}@%h",
        f"--loglevel={settings.log_level}",
        "--without-mingle",
        "--without-gossip",
        "--task-events",  # which Flower shows; one millisecond a shard
    ]
    try:
        prepare(runtime).worker_main(argv)
    except SystemExit as stop:
        return int(stop.code or 0)
    finally:
        runtime.pulse.stop()
        runtime.watchdog.close()
    return 0


def _publish(runtime: Runtime) -> None:
    """Puts the artifacts of this installation into the store, for workers that have other ones built in."""
    for directory in sorted(BUILT_IN.iterdir()):
        if directory.is_dir():
            try:
                publish_artifact(runtime.store, directory)
            except (TriptychError, OSError) as error:
                log.warning("artifact.not_published", artifact=directory.name, error=str(error))
