"""The synchronous client: the asynchronous one, run on an event loop in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Generic, ParamSpec, Self, TypeVar

import httpx

from pipeline.core.jobs import Inputs, ResultLine
from triptych.aio import AsyncClient, PathLike
from triptych.fetching import Fetched
from triptych.local import LocalFile
from triptych.models import Job, JobPage, OperationInfo, SearchHit
from triptych.uploads import Progress, Upload

P = ParamSpec("P")
T = TypeVar("T")

CANCEL_S = 5.0  # connections close in much less


class _Call(Generic[T]):
    """A coroutine on its way through the client's thread, where both methods run, in the order of the calls.

    A Ctrl-C may come at any moment, also before the loop has been told of the call: nothing exists until
    `start` makes it, and `abandon` leaves nothing of it.
    """

    def __init__(self, make: Callable[[], Coroutine[Any, Any, T]]) -> None:
        self._make = make
        self._task: asyncio.Task[T] | None = None
        self.ended = threading.Event()

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._make())
        self._task.add_done_callback(lambda _: self.ended.set())

    def abandon(self) -> None:
        if self._task is None:
            self.ended.set()
        else:
            self._task.cancel()

    def result(self) -> T:
        if self._task is None:
            raise asyncio.CancelledError
        return self._task.result()


class Client:
    """Speaks to one Triptych server. Methods, arguments and errors are those of `AsyncClient`.

    Callbacks run in the client's own thread.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str | None = None,
        *,
        http: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._client = AsyncClient(base_url, api_key, http=http, sleep=sleep)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="triptych-client", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        if self._loop.is_closed():
            return
        self._run(self._client.close)
        self._run(self._loop.shutdown_default_executor)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, function: Callable[P, Coroutine[Any, Any, T]], *args: P.args, **named: P.kwargs) -> T:
        """Awaits `function(...)` in the thread of the loop. A Ctrl-C here ends it there first."""
        call = _Call(lambda: function(*args, **named))
        try:
            self._loop.call_soon_threadsafe(call.start)
            call.ended.wait()
        except BaseException:
            self._loop.call_soon_threadsafe(call.abandon)
            call.ended.wait(CANCEL_S)
            raise
        return call.result()

    def _iterate(self, items: AsyncIterator[T]) -> Iterator[T]:
        async def advance() -> tuple[bool, T | None]:
            try:
                return True, await anext(items)
            except StopAsyncIteration:  # must not leave a coroutine as it is
                return False, None

        async def finish() -> None:
            close = getattr(items, "aclose", None)
            if close is not None:
                await close()

        try:
            while True:
                more, item = self._run(advance)
                if not more:
                    return
                yield item  # type: ignore[misc]
        finally:
            if not self._loop.is_closed():
                self._run(finish)

    # -- inputs -------------------------------------------------------------------------------------
    def upload(
        self,
        files: Sequence[PathLike | LocalFile],
        *,
        resume: str | None = None,
        on_progress: Progress | None = None,
    ) -> Upload:
        """Uploads files, eight at a time, in the order given."""
        return self._run(self._client.upload, files, resume=resume, on_progress=on_progress)

    def delete_upload(self, upload_id: str) -> None:
        """Deletes an upload's files from the bucket; see `AsyncClient.delete_upload`."""
        self._run(self._client.delete_upload, upload_id)

    def attach(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Uploads every path among the params; see `AsyncClient.attach`."""
        return self._run(self._client.attach, params)

    # -- jobs ---------------------------------------------------------------------------------------
    def create_job(
        self,
        operation: str,
        inputs: Inputs,
        *,
        params: Mapping[str, Any] | None = None,
        then: Sequence[tuple[str, Mapping[str, Any]]] = (),
        idempotency_key: str | None = None,
        name: str = "",
        interactive: bool = False,
        device: str = "auto",
        priority: int = 0,
        paused: bool = False,
        expires_at: datetime | None = None,
        output_prefix: str | None = None,
    ) -> Job:
        """Submits a job; see `AsyncClient.create_job`."""
        return self._run(
            self._client.create_job,
            operation,
            inputs,
            params=params,
            then=then,
            idempotency_key=idempotency_key,
            name=name,
            interactive=interactive,
            device=device,
            priority=priority,
            paused=paused,
            expires_at=expires_at,
            output_prefix=output_prefix,
        )

    def job(self, job_id: str) -> Job:
        """The job as it is now."""
        return self._run(self._client.job, job_id)

    def jobs(self, *, limit: int = 50, cursor: str | None = None, state: str | None = None) -> JobPage:
        """One page of jobs, newest first."""
        return self._run(self._client.jobs, limit=limit, cursor=cursor, state=state)

    def update_job(self, job_id: str, **changes: Any) -> Job:
        """Changes `paused`, `priority` or `expires_at` of a job that has not ended."""
        return self._run(self._client.update_job, job_id, **changes)

    def cancel_job(self, job_id: str) -> Job:
        """Stops a job; items that are running may finish."""
        return self._run(self._client.cancel_job, job_id)

    def delete_job(self, job_id: str) -> None:
        """Deletes a job that has ended, with all its objects."""
        self._run(self._client.delete_job, job_id)

    def watch(self, job_id: str) -> Iterator[Job]:
        """The job now and whenever it changed, until it has ended."""
        return self._iterate(self._client.watch(job_id))

    def wait(self, job_id: str, *, timeout_s: float | None = None) -> Job:
        """The job once it has ended; TimeoutError if that takes longer."""
        return self._run(self._client.wait, job_id, timeout_s=timeout_s)

    # -- results ------------------------------------------------------------------------------------
    def results(self, job_id: str) -> Iterator[ResultLine]:
        """Result lines in input order; of a running job those of the finished shards."""
        return self._iterate(self._client.results(job_id))

    def errors(self, job_id: str) -> Iterator[ResultLine]:
        """The failed lines only."""
        return self._iterate(self._client.errors(job_id))

    def fetch(
        self,
        job_id: str,
        directory: PathLike,
        *,
        inputs: Sequence[LocalFile] | None = None,
        unsent: dict[int, str] | None = None,
        keep_folders: bool = False,
        on_progress: Callable[[int], None] | None = None,
    ) -> Fetched:
        """Writes every output of a job to a directory; see `AsyncClient.fetch`."""
        return self._run(
            self._client.fetch,
            job_id,
            directory,
            inputs=inputs,
            unsent=unsent,
            keep_folders=keep_folders,
            on_progress=on_progress,
        )

    def download_output(self, job_id: str, index: int, target: PathLike) -> None:
        """Writes one item's output to a file, whole or not at all."""
        self._run(self._client.download_output, job_id, index, target)

    def report(self, job_id: str) -> str:
        """The HTML report of a job that has ended."""
        return self._run(self._client.report, job_id)

    def search(self, job_id: str, text: str, *, limit: int = 10) -> list[SearchHit]:
        """The items of a described job that are nearest to a text; see `AsyncClient.search`."""
        return self._run(self._client.search, job_id, text, limit=limit)

    # -- the server ---------------------------------------------------------------------------------
    def operations(self) -> list[OperationInfo]:
        """Everything that the server can do."""
        return self._run(self._client.operations)

    def operation(self, name: str) -> OperationInfo:
        """One operation with its JSON schemas."""
        return self._run(self._client.operation, name)
