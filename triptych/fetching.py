"""Fetching results: outputs become files, eight at a time; `results.jsonl` says what became of each input.

A file appears under its name only when it is whole. What an earlier, broken fetch of the same job brought is
not fetched again: `results.jsonl`, or its unfinished twin, says which output each file holds. Any other file
that lies there is somebody's, and stays: an output that would have its name gets the next free one.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from pipeline.core.jobs import ResultLine
from triptych.brought import OURS, OWN_REPORT, UNFINISHED, files_brought, outputs_brought
from triptych.local import LocalFile
from triptych.names import REPORT, RESULTS, Stems, file_name, safe_folder
from triptych.parallel import for_each
from triptych.transport import ApiError, Transport, raise_for_problem

PARALLEL = 8
BATCH = 256  # lines in hand at once
UNREADABLE = "input_unreadable"


@dataclass
class Fetched:
    """What a fetch came to.

    Attributes:
        directory: Where everything is.
        files: How many outputs are there now.
        report: The report, if the server had one.
    """

    directory: Path
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0
    files: int = 0
    report: Path | None = None

    @property
    def results(self) -> Path:
        return self.directory / RESULTS


async def fetch(
    transport: Transport,
    job_id: str,
    lines: AsyncIterator[ResultLine],
    directory: Path,
    *,
    inputs: Sequence[LocalFile] | None = None,
    unsent: dict[int, str] | None = None,
    keep_folders: bool = False,
    on_progress: Callable[[int], None] | None = None,
) -> Fetched:
    """Fetches every output of a job, then writes `results.jsonl` and `report.html`.

    Args:
        transport: The connection.
        job_id: The job.
        lines: Its results, in input order.
        directory: Made if need be.
        inputs: What was uploaded for it: their names stand in the results, and those that could not be
            read get a line too, in their place.
        unsent: `Upload.unsent` of that upload.
        keep_folders: Whether outputs lie in folders as the inputs' names have them, or all side by side.
        on_progress: Called with the number of lines done.
    """
    directory.mkdir(parents=True, exist_ok=True)
    known, names = outputs_brought(directory), _Names(directory, keep_folders=keep_folders)
    fetched, index = Fetched(directory), 0
    merged = lines if inputs is None else _with_inputs(lines, inputs, unsent or {})
    with (
        (directory / UNFINISHED).open("w", encoding="utf-8", newline="\n") as unfinished,
        (directory / OURS).open("a", encoding="utf-8", newline="\n") as ours,
    ):
        ours.writelines(f"{file}\n" for _, file in known)
        async for batch in _batches(merged):
            rows = [_Row(line, names.give(line)) for line in batch]
            # Before they are there: should this fetch break, the next one knows them again.
            ours.writelines(f"{row.name}\n" for row in rows)
            ours.flush()

            async def settle(row: _Row) -> None:
                await _settle(transport, job_id, directory, known, row)

            await for_each(rows, settle, limit=PARALLEL)
            for row in rows:
                unfinished.write(json.dumps(row.as_json(index), ensure_ascii=False) + "\n")
                index += 1
                _count(fetched, row)
            unfinished.flush()
            if on_progress is not None:
                on_progress(index)
    (directory / UNFINISHED).replace(fetched.results)
    (directory / OURS).unlink()
    fetched.report = await _fetch_report(transport, job_id, directory / names.report)
    return fetched


@dataclass
class _Row:
    line: ResultLine
    name: str  # below the directory, of its output if there is one
    file: str | None = None
    error: dict[str, str] | None = None

    @property
    def status(self) -> str:
        return "failed" if self.error else self.line.status

    def as_json(self, index: int) -> dict[str, Any]:
        error = self.error or self.line.error
        return {
            "index": index,
            "custom_id": self.line.custom_id,
            "status": self.status,
            "file": self.file,
            **({"error": error} if error else {"receipt": self.line.receipt}),
            "output": self.line.output,
        }


def _count(fetched: Fetched, row: _Row) -> None:
    fetched.succeeded += row.status == "succeeded"
    fetched.failed += row.status == "failed"
    fetched.cancelled += row.status == "cancelled"
    fetched.files += row.file is not None


async def _with_inputs(
    lines: AsyncIterator[ResultLine], inputs: Sequence[LocalFile], unsent: dict[int, str]
) -> AsyncIterator[ResultLine]:
    """The job's lines under the names of this side, with a failed line for each input that never left it."""
    place = 0
    for file in inputs:
        why = file.error
        line = None
        if not why:
            line = await anext(lines, None)
            why = unsent.get(place, "")
            place += 1
        if why or line is None:
            error = {"code": UNREADABLE if why else "no_result", "message": why or "the server has no result"}
            yield ResultLine(index=0, custom_id=file.name, status="failed", error=error)
        else:
            yield line.model_copy(update={"custom_id": file.name})


async def _batches(lines: AsyncIterator[ResultLine]) -> AsyncIterator[list[ResultLine]]:
    batch: list[ResultLine] = []
    async for line in lines:
        batch.append(line)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


async def _settle(
    transport: Transport, job_id: str, directory: Path, known: set[tuple[str, str]], row: _Row
) -> None:
    """Brings the row's output, unless there is none or it is here already."""
    if row.line.status != "succeeded" or row.line.output is None:
        return
    row.file = row.name
    if _is_here(row, directory / row.file, known):
        return
    (directory / row.file).parent.mkdir(parents=True, exist_ok=True)
    try:
        await download(transport, f"/v1/jobs/{job_id}/items/{row.line.index}/output", directory / row.file)
    except ApiError as error:
        if error.status in (401, 429) or error.status >= 500:
            raise  # not this output's fault
        row.file, row.error = None, {"code": error.code, "message": error.message}


async def download(transport: Transport, path: str, target: Path) -> None:
    """Writes what a path of the API (or the presigned URL behind it) gives to a file, whole or not at all."""
    part = target.with_name(f".{target.name}.part")

    async def attempt() -> None:
        side, url = transport.api, path
        for _ in range(3):  # a redirect leads to the store, which gets no key
            async with side.stream("GET", url, follow_redirects=False) as answer:
                if answer.has_redirect_location:
                    url = str(answer.headers["Location"])
                    side = transport.side(url)
                    continue
                if answer.status_code >= 400:
                    await answer.aread()
                raise_for_problem(answer)
                with part.open("wb") as file:
                    async for chunk in answer.aiter_bytes():
                        file.write(chunk)
                part.replace(target)
                return
        raise ApiError(508, "too_many_redirects", f"{path} leads nowhere")

    try:
        await transport.retrying(attempt)
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


async def _fetch_report(transport: Transport, job_id: str, target: Path) -> Path | None:
    try:
        await download(transport, f"/v1/jobs/{job_id}/report", target)
    except ApiError as error:
        if error.status in (404, 409):
            return None  # a job that failed before it ran has none
        raise
    return target


class _Names:
    """Gives each output a name below a directory, never that of a file that no fetch has brought."""

    def __init__(self, directory: Path, *, keep_folders: bool) -> None:
        self._directory, self._keep_folders = directory, keep_folders
        self._ours = files_brought(directory)
        self._stems: dict[str, Stems] = {}
        there = {entry.name for entry in directory.iterdir()}
        self.report = OWN_REPORT if OWN_REPORT in there or REPORT in there - self._ours else REPORT

    def give(self, line: ResultLine) -> str:
        extension = PurePosixPath(line.output).suffix if line.output else ""
        folder = safe_folder(line.custom_id) if self._keep_folders else ""
        if folder not in self._stems:
            self._stems[folder] = Stems(self._others(folder))
        stem = self._stems[folder].give(line.custom_id, extension)
        return folder + file_name(stem, extension)

    def _others(self, folder: str) -> list[str]:
        place = self._directory / folder
        if not place.is_dir():
            return []
        return [entry.name for entry in place.iterdir() if folder + entry.name not in self._ours]


def _is_here(row: _Row, path: Path, known: set[tuple[str, str]]) -> bool:
    if (row.line.output, row.file) not in known or not path.is_file():
        return False
    size_bytes = (row.line.receipt or {}).get("bytes_out")
    return size_bytes is None or size_bytes == path.stat().st_size
