"""The asynchronous client."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from pipeline.core.jobs import Inputs, ResultLine, Step
from triptych import attached, fetching, uploads, watching
from triptych.local import LocalFile, look_at
from triptych.models import Job, JobPage, OperationInfo, OperationList, SearchHit, SearchResult
from triptych.transport import Transport

PathLike = str | os.PathLike[str]


class AsyncClient:
    """Speaks to one Triptych server. Use it as `async with`, or call `close`.

    Every method may raise `ApiError` (the server refused; it has a stable `code`) and `Unreachable` (no
    answer after several tries).

    Args:
        base_url: Where the API is, e.g. "http://127.0.0.1:8000".
        api_key: Where the server asks for one.
        http: Replaces the network, for tests.
        sleep: Replaces waiting between tries, for tests.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str | None = None,
        *,
        http: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._transport = Transport(base_url, api_key, http=http, sleep=sleep)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._transport.close()

    # -- inputs -------------------------------------------------------------------------------------
    async def upload(
        self,
        files: Sequence[PathLike | LocalFile],
        *,
        resume: str | None = None,
        on_progress: uploads.Progress | None = None,
    ) -> uploads.Upload:
        """Uploads files, eight at a time, in the order given.

        Args:
            files: Paths, or what `triptych.local` found.
            resume: The id of an upload of the same files that was broken off: what arrived is not sent again.
            on_progress: Called with files done and files in all.
        """
        found = [file if isinstance(file, LocalFile) else look_at(file) for file in files]
        return await uploads.upload(self._transport, found, resume=resume, on_progress=on_progress)

    async def delete_upload(self, upload_id: str) -> None:
        """Deletes an upload's files from the bucket: inputs stay there until somebody does.

        Raises:
            ApiError: 409 while a job that has not ended needs them.
        """
        while (await self._transport.ask("DELETE", f"/v1/uploads/{upload_id}")).status_code == 202:
            pass  # the next thousands

    async def attach(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Uploads every path (`pathlib.Path`) among the params, and puts its name in the upload in its place.

        `create_job` does it by itself; do it before to repeat a request with an Idempotency-Key of yours.
        """
        return await attached.attach(self._transport, params)

    # -- jobs ---------------------------------------------------------------------------------------
    async def create_job(
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
        """Submits a job.

        Args:
            operation: What to do with every input.
            inputs: An upload's `inputs`, or keys, a prefix or a manifest of the bucket.
            params: Params of the operation. A `pathlib.Path` among them is a local file: it is uploaded.
            then: Further operations with their params, each on what the one before it made.
            idempotency_key: The same key with the same request gives the same job. Without one, only the
                tries of this one call are the same job.
            name: For people.
            interactive: Run it before bulk work (8 items at most).
            device: "auto", "cpu" or "cuda".
            priority: -100 to 100; of one owner's jobs the higher ones go first.
            paused: Start nothing until it is resumed.
            expires_at: Cancel it then.
            output_prefix: Put outputs there in the bucket.
        """
        asked = [(operation, params or {}), *then]
        steps = [Step(operation=name, params=await self.attach(own)) for name, own in asked]
        body: dict[str, Any] = {
            "steps": [step.model_dump() for step in steps],
            "inputs": inputs.model_dump(exclude_none=True),
            "class": "interactive" if interactive else "bulk",
            "device": device,
            "priority": priority,
            "paused": paused,
        }
        if name:
            body["name"] = name
        if expires_at is not None:
            body["expires_at"] = expires_at.isoformat()
        if output_prefix is not None:
            body["output_prefix"] = output_prefix
        headers = {"Idempotency-Key": idempotency_key or secrets.token_urlsafe(24)}
        return Job.model_validate(await self._transport.json("POST", "/v1/jobs", body=body, headers=headers))

    async def job(self, job_id: str) -> Job:
        """The job as it is now."""
        return Job.model_validate(await self._transport.json("GET", f"/v1/jobs/{job_id}"))

    async def jobs(self, *, limit: int = 50, cursor: str | None = None, state: str | None = None) -> JobPage:
        """One page of jobs, newest first."""
        given = {"limit": limit, "cursor": cursor, "state": state}
        params = {name: value for name, value in given.items() if value is not None}
        return JobPage.model_validate(await self._transport.json("GET", "/v1/jobs", params=params))

    async def update_job(self, job_id: str, **changes: Any) -> Job:
        """Changes `paused`, `priority` or `expires_at` (RFC 3339 or None) of a job that has not ended."""
        return Job.model_validate(await self._transport.json("PATCH", f"/v1/jobs/{job_id}", body=changes))

    async def cancel_job(self, job_id: str) -> Job:
        """Stops a job; items that are running may finish."""
        return Job.model_validate(await self._transport.json("POST", f"/v1/jobs/{job_id}/cancel"))

    async def delete_job(self, job_id: str) -> None:
        """Deletes a job that has ended, with all its objects."""
        await self._transport.ask("DELETE", f"/v1/jobs/{job_id}")

    def watch(self, job_id: str) -> AsyncIterator[Job]:
        """The job now and whenever it changed, until it has ended."""
        return watching.watch(self._transport, job_id)

    async def wait(self, job_id: str, *, timeout_s: float | None = None) -> Job:
        """The job once it has ended.

        Raises:
            TimeoutError: It has not ended within `timeout_s`; it goes on.
        """
        async with asyncio.timeout(timeout_s):
            async for job in self.watch(job_id):
                if job.ended:
                    return job
        raise AssertionError("a watch ends with the job")

    # -- results ------------------------------------------------------------------------------------
    def results(self, job_id: str) -> AsyncIterator[ResultLine]:
        """Result lines in input order; of a running job those of the finished shards."""
        return self._lines(f"/v1/jobs/{job_id}/results")

    def errors(self, job_id: str) -> AsyncIterator[ResultLine]:
        """The failed lines only."""
        return self._lines(f"/v1/jobs/{job_id}/errors")

    async def _lines(self, path: str) -> AsyncIterator[ResultLine]:
        cursor: str | None = None
        while True:
            answer = await self._transport.ask("GET", path, params={"cursor": cursor} if cursor else None)
            for line in answer.content.split(b"\n"):
                if line:
                    yield ResultLine.model_validate_json(line)
            cursor = answer.headers.get("Triptych-Next-Cursor")
            if cursor is None:
                return

    async def fetch(
        self,
        job_id: str,
        directory: PathLike,
        *,
        inputs: Sequence[LocalFile] | None = None,
        unsent: dict[int, str] | None = None,
        keep_folders: bool = False,
        on_progress: Callable[[int], None] | None = None,
    ) -> fetching.Fetched:
        """Writes every output of a job to a directory, with `results.jsonl` and `report.html`.

        What an earlier fetch of the job brought is not fetched again; what no fetch has brought stays.

        Args:
            job_id: The job.
            directory: Made if need be.
            inputs: The files that were uploaded for it, to name results as they are named here.
            unsent: `Upload.unsent` of that upload.
            keep_folders: Put outputs into folders as the inputs' names have them, not all side by side.
            on_progress: Called with the number of lines done.
        """
        lines = self.results(job_id)
        return await fetching.fetch(
            self._transport,
            job_id,
            lines,
            Path(directory),
            inputs=inputs,
            unsent=unsent,
            keep_folders=keep_folders,
            on_progress=on_progress,
        )

    async def download_output(self, job_id: str, index: int, target: PathLike) -> None:
        """Writes one item's output to a file, whole or not at all."""
        await fetching.download(self._transport, f"/v1/jobs/{job_id}/items/{index}/output", Path(target))

    async def report(self, job_id: str) -> str:
        """The HTML report of a job that has ended."""
        return (await self._transport.ask("GET", f"/v1/jobs/{job_id}/report")).text

    async def search(self, job_id: str, text: str, *, limit: int = 10) -> list[SearchHit]:
        """The items of a job described with `embedding` that are nearest to a text, best first."""
        body = {"text": text, "limit": limit}
        answer = await self._transport.json("POST", f"/v1/jobs/{job_id}/search", body=body)
        return SearchResult.model_validate(answer).hits

    # -- the server ---------------------------------------------------------------------------------
    async def operations(self) -> list[OperationInfo]:
        """Everything that the server can do."""
        answer = await self._transport.json("GET", "/v1/operations")
        return OperationList.model_validate(answer).operations

    async def operation(self, name: str) -> OperationInfo:
        """One operation with its JSON schemas."""
        return OperationInfo.model_validate(await self._transport.json("GET", f"/v1/operations/{name}"))
