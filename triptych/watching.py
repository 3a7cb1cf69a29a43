"""Watching a job: server-sent events, and polling where they do not get through."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx

from triptych.models import Job
from triptych.transport import ApiError, Transport, raise_for_problem

POLL_S = 0.5
LONGEST_POLL_S = 5.0
# Keep-alive comments come more often than this; a proxy that holds events back shows as silence.
SILENCE = httpx.Timeout(10, read=30)


async def watch(transport: Transport, job_id: str) -> AsyncIterator[Job]:
    """The job now and whenever it changed, until it has ended.

    Raises:
        ApiError: The job is not there (any more), or not ours.
        Unreachable: No answer.
    """
    poll_s, events = POLL_S, True
    while True:
        if events:
            try:
                async for job in _events(transport, job_id):
                    poll_s = POLL_S
                    yield job
                    if job.ended:
                        return
            except httpx.TransportError:
                pass  # it broke: ask once, then listen again
            except (ApiError, ValueError):
                events = False  # no event stream here; if the job is at fault, asking for it says so
        job = Job.model_validate(await transport.json("GET", f"/v1/jobs/{job_id}"))
        yield job
        if job.ended:
            return
        await asyncio.sleep(poll_s)
        poll_s = min(LONGEST_POLL_S, poll_s * 1.5)


async def _events(transport: Transport, job_id: str) -> AsyncIterator[Job]:
    """Jobs of the event stream.

    Raises:
        ApiError: The server refused.
        ValueError: What came is no event stream of jobs.
        httpx.TransportError: The connection broke.
    """
    path, headers = f"/v1/jobs/{job_id}/events", {"Accept": "text/event-stream"}
    async with transport.api.stream("GET", path, headers=headers, timeout=SILENCE) as answer:
        if answer.status_code >= 400:
            await answer.aread()
        raise_for_problem(answer)
        if not answer.headers.get("Content-Type", "").startswith("text/event-stream"):
            raise ValueError("not an event stream")
        data: list[str] = []
        async for line in answer.aiter_lines():
            field, _, value = line.partition(":")
            if field == "data":
                data.append(value.removeprefix(" "))
            elif not line and data:  # an empty line ends an event
                yield Job.model_validate_json("\n".join(data))
                data = []
