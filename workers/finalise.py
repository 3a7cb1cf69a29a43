"""Ends a job: results in input order, errors, report, and last of all summary.json.

A second finaliser finds the summary and stops. The counts are taken from the lines of the winners, not from
the ledger.
"""

from __future__ import annotations

import contextlib
import os
import struct
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import IO, Any, BinaryIO, cast

from pipeline.core.artifact import Terms
from pipeline.core.artifact_store import find_manifest
from pipeline.core.chain import as_one
from pipeline.core.errors import (
    ArtifactCorrupt,
    ArtifactNotFound,
    BrokerUnavailable,
    ObjectExists,
    ObjectNotFound,
    UnknownOperation,
)
from pipeline.core.jobs import Counts, JobSpec, JobState, Plan, ResultLine, Summary
from pipeline.core.keys import JobKeys, ResultName
from pipeline.core.ledger import JobView
from pipeline.core.logs import get_logger
from pipeline.core.npy import HalfRows
from pipeline.core.results import JobResults
from workers.plan import sampled
from workers.pulse import Hand
from workers.report import ReportRow, render_report
from workers.retry import patiently
from workers.runtime import Runtime

log = get_logger(__name__)
READ_AHEAD = 16


class Told:
    """A file that tells of each part that is read: gigabytes on their way to a slow store are no stall."""

    def __init__(self, file: IO[bytes], tell: Callable[[], None]) -> None:
        self._file, self._tell = file, tell

    def read(self, size: int = -1) -> bytes:
        self._tell()
        return self._file.read(size)


SHOWN_FAILURES = 100


def finalise_job(runtime: Runtime, hand: Hand) -> None:
    """Ends the job whose "finalise" entry is in hand."""
    job_id = hand.lease.job_id
    summary = patiently(lambda: read_summary(runtime, job_id))
    if summary is None:
        view = patiently(lambda: runtime.ledger.job(job_id))
        if view is None or view.state.ended:
            return
        summary = _finalise(runtime, patiently(lambda: runtime.spec(job_id)), view)
    close_job(runtime, job_id, summary)
    log.info("job.ended", state=summary.state.value, **summary.counts.model_dump())


def read_summary(runtime: Runtime, job_id: str) -> Summary | None:
    """The summary of a job that has ended, or None."""
    try:
        return Summary.model_validate_json(runtime.store.get(JobKeys(job_id).summary))
    except ObjectNotFound:
        return None


def close_job(runtime: Runtime, job_id: str, summary: Summary) -> None:
    """Tells the ledger of a job's end and takes the job off the list of those that have not ended."""
    patiently(lambda: runtime.ledger.ended(job_id, summary.state, summary.counts))
    patiently(lambda: runtime.store.delete([JobKeys(job_id).active]))
    if patiently(lambda: runtime.decision(job_id)).deleted:
        # Deleted as soon as it had ended, before its mark was taken away here: the steward needs that.
        patiently(lambda: runtime.store.put(JobKeys(job_id).active, b""))


def _finalise(runtime: Runtime, spec: JobSpec, view: JobView) -> Summary:
    keys = JobKeys(spec.id)
    winners = patiently(lambda: runtime.ledger.settled_winners(spec.id))
    plan = patiently(lambda: _plan(runtime, spec.id))
    if winners is None or (_end_state(view) is JobState.COMPLETED and not _all_there(winners, plan)):
        # Its server lost what it knew when this entry was sent. No waiting here: it asks again once it has
        # been reconciled, and that may be this very process's steward's to do.
        raise BrokerUnavailable("the ledger went back to before the job's last results")
    error = {"code": view.reason, "message": view.message} if _end_state(view) is JobState.FAILED else None
    results = JobResults(runtime.store, spec.id, winners, plan.shards if plan else 0, ended=True, error=error)
    samples = sampled(plan.items) if plan else frozenset[int]()
    with (
        tempfile.TemporaryFile() as lines,
        tempfile.TemporaryFile() as errors,
        tempfile.TemporaryFile() as gathered,
    ):
        name = _gathers(runtime, spec)
        rows = HalfRows(gathered)
        tally = _write(runtime, results, samples, lines, errors, gather=(name, rows) if name else None)
        summary = Summary(
            state=_end_state(view),
            counts=tally.counts,
            created_at=spec.created_at,
            started_at=view.started_at,
            finished_at=time.time(),
            bytes_in=tally.bytes_in,
            bytes_out=tally.bytes_out,
            error=error,
            shards=results.shards,
            winners=winners,
        )
        _put_file(runtime, keys.results, lines)
        _put_file(runtime, keys.errors, errors)
        if name and not rows.empty:
            rows.close(tally.counts.total)
            _put_file(runtime, keys.gathered(name), gathered, content_type="application/octet-stream")
    _report(runtime, spec, summary, tally.shown)
    body = summary.model_dump_json().encode()
    try:
        patiently(lambda: runtime.store.put(keys.summary, body, if_absent=True))
    except ObjectExists:
        # Another finaliser's, or our own put whose answer was lost: what stands there counts.
        return patiently(lambda: read_summary(runtime, spec.id)) or summary
    return summary


def _gathers(runtime: Runtime, spec: JobSpec) -> str | None:
    try:
        return as_one(runtime.registry.get, spec.steps)[0].gathers
    except UnknownOperation:  # it failed for that: it must end all the same
        return None


def _plan(runtime: Runtime, job_id: str) -> Plan | None:
    try:
        return Plan.model_validate_json(runtime.store.get(JobKeys(job_id).plan))
    except ObjectNotFound:
        return None


def _all_there(winners: dict[str, str], plan: Plan | None) -> bool:
    """Whether every shard, and every item that its winner left out, has a result."""
    if plan is None:
        return False
    held = [
        f"{shard}.{item}"
        for shard, text in winners.items()
        if "." not in shard
        for item in ResultName.parse(text).held
    ]
    return all(entry in winners for entry in [*map(str, range(plan.shards)), *held])


def _end_state(view: JobView) -> JobState:
    if view.state is not JobState.CANCELLING:
        return JobState.COMPLETED
    return {"cancelled": JobState.CANCELLED, "expired": JobState.EXPIRED}.get(view.reason, JobState.FAILED)


class Tally:
    """What the lines add up to."""

    def __init__(self) -> None:
        self.by_status: Counter[str] = Counter()
        self.bytes_in = 0
        self.bytes_out = 0
        self.shown: list[ResultLine] = []  # in the report: sampled items, and the first that failed
        self._failures_shown = 0

    def show(self, line: dict[str, Any], *, sampled: bool) -> None:
        failure = line["status"] == "failed" and self._failures_shown < SHOWN_FAILURES
        if sampled or failure:
            self.shown.append(ResultLine.model_validate(line))
        self._failures_shown += failure

    def add(self, line: dict[str, Any]) -> None:
        self.by_status[line["status"]] += 1
        receipt = line.get("receipt") or {}
        self.bytes_in += receipt.get("bytes_in", 0)
        self.bytes_out += receipt.get("bytes_out", 0)

    @property
    def counts(self) -> Counts:
        return Counts(total=self.by_status.total(), **self.by_status)


def _write(
    runtime: Runtime,
    results: JobResults,
    samples: frozenset[int],
    lines: IO[bytes],
    errors: IO[bytes],
    *,
    gather: tuple[str, HalfRows] | None,
) -> Tally:
    tally = Tally()
    for parsed, raw in _in_order(runtime, results):
        tally.add(parsed)
        if gather is not None:
            _gather(parsed, *gather)
        lines.write(raw + b"\n")
        if parsed["status"] == "failed":
            errors.write(raw + b"\n")
        tally.show(parsed, sampled=parsed["index"] in samples)
    return tally


def _gather(line: dict[str, Any], name: str, rows: HalfRows) -> None:
    """Puts an item's numbers, if it has some, into the row of its index."""
    numbers = (line.get("receipt") or {}).get(name)
    if not numbers:
        return
    try:
        rows.put(line["index"], numbers)
    except (ValueError, OverflowError, struct.error) as error:
        log.warning("gather.skipped", index=line["index"], error=str(error))


def _in_order(runtime: Runtime, results: JobResults) -> Iterator[tuple[dict[str, Any], bytes]]:
    """Every line of the job, the next shards being read meanwhile."""

    def read(shard: int) -> list[tuple[dict[str, Any], bytes]]:
        return patiently(lambda: results.lines(shard))

    ahead = [runtime.io.submit(read, shard) for shard in range(min(READ_AHEAD, results.shards))]
    for shard in range(results.shards):
        yield from ahead.pop(0).result()
        runtime.watchdog.progress()
        if shard + READ_AHEAD < results.shards:
            ahead.append(runtime.io.submit(read, shard + READ_AHEAD))


def _put_file(
    runtime: Runtime, key: str, file: IO[bytes], *, content_type: str = "application/x-ndjson"
) -> None:
    size_bytes = file.seek(0, os.SEEK_END)

    def put() -> None:
        file.seek(0)
        told = cast("BinaryIO", Told(file, runtime.watchdog.progress))
        runtime.store.put_stream(key, told, size_bytes, content_type=content_type)

    patiently(put)


def _report(runtime: Runtime, spec: JobSpec, summary: Summary, lines: list[ResultLine]) -> None:
    keys = JobKeys(spec.id)
    try:
        page = render_report(summary, spec, _rows(runtime, keys, lines), _terms(runtime, spec)).encode()
    except Exception:  # a picture book must not keep a job from ending
        log.exception("report.failed")
        return
    patiently(lambda: runtime.store.put(keys.report, page, content_type="text/html"))


def _terms(runtime: Runtime, spec: JobSpec) -> dict[str, Terms]:
    """Under which terms the job's models are, by name."""
    found = {}
    for name, digest in spec.artifacts.items():
        with contextlib.suppress(ArtifactNotFound, ArtifactCorrupt):
            found[name] = patiently(lambda n=name, d=digest: find_manifest(runtime.store, n, d)).terms  # type: ignore[misc]
    return found


def _rows(runtime: Runtime, keys: JobKeys, lines: list[ResultLine]) -> Iterator[ReportRow]:
    found: dict[int, dict[str, str]] = {}
    for info in patiently(lambda: list(runtime.store.list(keys.previews_prefix))):
        index, _, role = info.key.rpartition("/")[2].partition(".")
        found.setdefault(int(index), {})[role] = info.key
    for line in lines:
        roles = found.get(line.index, {})
        yield ReportRow(line, {role: _preview(runtime, key) for role, key in roles.items()})


def _preview(runtime: Runtime, key: str) -> bytes:
    return patiently(lambda: runtime.store.get(key))
