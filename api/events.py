"""A job's progress as server-sent events."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

import anyio
from anyio import to_thread
from sse_starlette import ServerSentEvent

from api.auth import Caller
from api.jobs import Standing, document, find_job
from api.services import Services
from pipeline.core.errors import JobNotFound, Transient
from pipeline.core.logs import get_logger

log = get_logger(__name__)

POLL_S = 0.5
PING_S = 15


async def progress(services: Services, caller: Caller, job: Standing) -> AsyncIterator[ServerSentEvent]:
    """Event "progress" whenever the job has changed, "end" once it has ended; both carry the job.

    A broker or store out of reach is waited for: a stream that has begun has no other way to say so.
    """
    read = partial(find_job, services, caller, job.head.id)
    shown = ""
    while not job.state.ended:
        text = document(job).model_dump_json()
        if text != shown:
            yield ServerSentEvent(text, event="progress")
            shown = text
        await anyio.sleep(POLL_S)
        try:
            job = await to_thread.run_sync(read)
        except Transient as error:
            log.warning("events.waiting", job_id=job.head.id, error=error.message)
        except JobNotFound:
            return  # it ended and was deleted between two looks
    yield ServerSentEvent(document(job).model_dump_json(), event="end")
