"""Searching a described job: a one-item job of the interactive class, whose result is joined to items here.

The search's job is not among the owner's jobs, and is deleted once it was read.
"""

from __future__ import annotations

import time
from typing import Any

import anyio
from anyio import to_thread

from api import decide
from api.auth import Caller
from api.heads import load_spec
from api.jobs import Standing, find_job
from api.pages import job_results
from api.schemas import SearchHit, SearchOut, SearchRequest
from api.services import Services
from api.submit import enter_job, store_job
from api.validate import device_of
from pipeline.core.chain import as_one, parts_of
from pipeline.core.errors import (
    Fault,
    InvalidInput,
    JobNotFinished,
    ObjectNotFound,
    SearchUnanswered,
    Transient,
    TriptychError,
)
from pipeline.core.jobs import Decision, JobSpec, KeysInput, Step, new_job_id
from pipeline.core.keys import JobKeys
from pipeline.core.logs import get_logger
from pipeline.core.params import merged_params
from pipeline.core.queue import queue_name
from pipeline.core.results import JobResults
from pipeline.operations.search import OPERATION

log = get_logger(__name__)

WAIT_S = 20.0  # clients give up on an answer after 30
POLL_S = 0.03
EMBEDDING = "embedding"


async def search(
    services: Services, caller: Caller, job: Standing, wanted: SearchRequest, request_id: str
) -> tuple[SearchOut, str]:
    """The items of a described job that are nearest to a text, and the id of the search's job, to dispose of.

    Args:
        services: The process's services.
        caller: Whose job it is.
        job: Described with `embedding`, and ended.
        wanted: The text, and how many.
        request_id: Goes with the search's job.

    Raises:
        JobNotFinished: Embeddings are gathered when a job ends.
        InvalidInput: The job has no embeddings.
        SearchUnanswered: No worker was free in time.
    """
    spec = await to_thread.run_sync(_submit, services, caller, job, wanted, request_id)
    try:
        receipt = await _answer(services, caller, spec.id)
        found = await to_thread.run_sync(lambda: _joined(job_results(services, job), receipt))
    except BaseException:
        with anyio.CancelScope(shield=True):
            await to_thread.run_sync(dispose, services, caller, spec.id)
        raise
    return found, spec.id


def _submit(
    services: Services, caller: Caller, job: Standing, wanted: SearchRequest, request_id: str
) -> JobSpec:
    if not job.state.ended:
        raise JobNotFinished(f"the job is {job.state}; it can be searched once it has ended")
    described = load_spec(services.store, job.head.id)
    key = JobKeys(job.head.id).gathered(EMBEDDING)
    try:
        services.store.stat(key)
    except ObjectNotFound:
        raise InvalidInput(
            "the job has no embeddings: run describe with embedding=true to search it"
        ) from None
    asked, step = as_one(services.registry.get, described.steps)
    describe, params = parts_of(asked, merged_params(asked, step.params))[-1]
    needed = describe.needs(params)
    if len(needed) != 1:
        raise InvalidInput("the job's embeddings are not of a model that can be asked")
    (model,) = needed
    now = time.time()
    spec = JobSpec(
        id=new_job_id(),
        owner=caller.owner,
        created_at=now,
        steps=[
            Step(
                operation=OPERATION.name,
                params={"text": wanted.text, "limit": wanted.limit, "model": model},
            )
        ],
        inputs=KeysInput(keys=[key]),  # Triptych's own: the caller's reach was checked with the job
        artifacts={model: described.artifacts[model]},  # the very model that made the embeddings
        queue=queue_name("interactive", device_of(services.ledger, OPERATION)),
        name=f"search of {job.head.id}",
        read_prefixes=[],
        write_prefixes=[],
        request_sha256="",
        request_id=request_id,
    )
    decision = Decision(expires_at=now + 2 * WAIT_S)
    store_job(services.store, spec, decision, listed=False)
    enter_job(services, spec, decision)
    return spec


async def _answer(services: Services, caller: Caller, job_id: str) -> dict[str, Any]:
    """The receipt of the search's one item, as soon as it is there."""
    with anyio.move_on_after(WAIT_S):
        while True:
            try:
                line = await to_thread.run_sync(_line, services, caller, job_id)
            except Transient as error:
                log.warning("search.waiting", job_id=job_id, error=error.message)
                line = None
            if line is not None:
                if line["status"] == "succeeded":
                    receipt: dict[str, Any] = line["receipt"]
                    return receipt
                _raise_for(line.get("error") or {})
            await anyio.sleep(POLL_S)
    raise SearchUnanswered("no worker has answered the search in time")


def _line(services: Services, caller: Caller, job_id: str) -> dict[str, Any] | None:
    job = find_job(services, caller, job_id)
    if job.state.ended and job.error is not None:
        _raise_for(job.error.model_dump())
    return job_results(services, job).item(0)


def _raise_for(error: dict[str, Any]) -> None:
    """An item's error as one of this request."""
    message = str(error.get("message", "")) or "the search failed"
    known: dict[str, type[TriptychError]] = {one.code: one for one in InvalidInput.__subclasses__()}
    if error.get("code") in ("", "cancelled", "expired", None):
        raise SearchUnanswered(message)
    raise known.get(str(error.get("code")), Fault)(message)


def dispose(services: Services, caller: Caller, job_id: str) -> None:
    """Ends and deletes the search's job, or leaves it to its expiry; waits for its end, which is near."""
    try:
        job = find_job(services, caller, job_id)
        for _ in range(20):
            if job.state.ended:
                decide.delete(services, job)
                return
            time.sleep(0.05)
            job = find_job(services, caller, job_id)
        decide.cancel(services, job)
    except TriptychError as error:
        log.info("search.left", job_id=job_id, error=error.message)


def _joined(results: JobResults, receipt: dict[str, Any]) -> SearchOut:
    """Hits with what is known of their items."""
    hits = []
    for hit in receipt["hits"]:
        line = results.item(hit["index"]) or {}
        said = line.get("receipt") or {}
        hits.append(
            SearchHit(
                index=hit["index"],
                custom_id=str(line.get("custom_id", "")),
                score=hit["score"],
                text=str(said.get("text", "")),
                input=line.get("input"),
                output=line.get("output"),
            )
        )
    return SearchOut(hits=hits, rows=receipt["rows"], model=receipt["model"])
