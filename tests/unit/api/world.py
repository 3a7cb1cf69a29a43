"""What the API's tests stand on: stores, a sender that remembers, and the workers' part played by hand."""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import dataclass, field
from typing import Any

from pipeline.core.errors import BrokerUnavailable
from pipeline.core.jobs import Item, JobState, Plan, ResultLine, Summary
from pipeline.core.keys import JobKeys, ResultName
from pipeline.core.ledger import CONTROL, Beat, Lease, Ledger
from pipeline.core.settings import Settings
from pipeline.core.storage import ObjectStore

COPY = {"steps": [{"operation": "copy"}], "inputs": {"kind": "keys", "keys": ["owners/local/in/1.jpg"]}}


@dataclass
class RecordingSender:
    """A sender that sends nothing and remembers which queues it was asked for."""

    down: bool = False
    queues: list[str] = field(default_factory=list)

    def dispatch(self, queue: str) -> int:
        if self.down:
            raise BrokerUnavailable("the broker at 10.1.2.3 did not answer")
        self.queues.append(queue)
        return 0


def body(operation: str = "copy", params: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    """A request for a job."""
    step = {"operation": operation} if params is None else {"operation": operation, "params": params}
    return {**COPY, "steps": [step], **fields}


class World:
    """Everything behind the API, and hands that do what workers do."""

    def __init__(self, store: ObjectStore, ledger: Ledger, settings: Settings) -> None:
        self.store = store
        self.ledger = ledger
        self.settings = settings
        self.sender = RecordingSender()
        self._begun: dict[tuple[str, str], Lease] = {}
        self.ledger.confirm()  # as the steward does, so that entries are dispatched
        self.ledger.beat(
            Beat("test", (CONTROL, "work.bulk.cpu", "work.interactive.cpu"), 100, ("copy",), "cpu")
        )

    def keys(self, prefix: str = "") -> list[str]:
        return [found.key for found in self.store.list(prefix)]

    def plan(self, job_id: str, shards: list[list[str]], *, sent: bool = False) -> None:
        """Plans a job: a list of custom ids a shard. `sent`: its plan message is with the broker already."""
        keys, token, index = JobKeys(job_id), "plan", 0
        for number, names in enumerate(shards):
            items = [
                Item(index=index + place, custom_id=name, input=f"in/{name}")
                for place, name in enumerate(names)
            ]
            lines = "".join(f"{item.model_dump_json()}\n" for item in items)
            self.store.put(keys.manifest(token, number), lines.encode())
            index += len(names)
        plan = Plan(token=token, shards=len(shards), items=index)
        self.store.put(keys.plan, plan.model_dump_json().encode())
        lease = None if sent else self._begin(job_id, "plan", CONTROL)
        self.ledger.planned(job_id, token, len(shards), index)
        if lease is not None:
            self.ledger.finish_control(lease)

    def finish(
        self,
        job_id: str,
        entry: str,
        lines: list[ResultLine],
        *,
        held: tuple[int, ...] = (),
        queue: str = "work.bulk.cpu",
    ) -> str:
        """Runs one entry: writes its lines and has them win."""
        lease = self._begin(job_id, entry, queue)
        name = ResultName(
            lease.token,
            sum(line.status == "succeeded" for line in lines),
            sum(line.status == "failed" for line in lines),
            sum(line.status == "cancelled" for line in lines),
            held,
        )
        text = "".join(f"{line.model_dump_json(exclude_none=True)}\n" for line in lines)  # as workers do
        self.store.put(JobKeys(job_id).shard_results(entry, str(name)), text.encode())
        self.ledger.finish(lease, str(name), seconds=0.1)
        return str(name)

    def end(self, job_id: str, state: JobState = JobState.COMPLETED, **fields: Any) -> Summary:
        """Finalises a job: summary.json, then the ledger."""
        view = self.ledger.job(job_id)
        assert view is not None
        summary = Summary(
            state=state,
            created_at=view.created_at,
            started_at=view.started_at,
            finished_at=time.time(),
            **{
                "counts": view.counts,
                "shards": view.shards,
                "winners": self.ledger.winners(job_id),
                **fields,
            },
        )
        self.store.put(JobKeys(job_id).summary, summary.model_dump_json().encode())
        self.ledger.ended(job_id, state, summary.counts)
        self.store.delete([JobKeys(job_id).active])
        return summary

    def _begin(self, job_id: str, entry: str, queue: str) -> Lease:
        for _ in range(100):
            for sending in self.ledger.dispatch(queue, 0):
                lease = self.ledger.begin(
                    sending.job_id, sending.entry, sending.token, worker="test", nonce=secrets.token_hex(4)
                )
                assert isinstance(lease, Lease), lease
                self._begun[sending.job_id, sending.entry] = lease
            if (job_id, entry) in self._begun:
                return self._begun.pop((job_id, entry))
        raise AssertionError(f"{job_id}/{entry} was not dispatched")


def lines_of(text: str) -> list[dict[str, Any]]:
    """The result lines of a page."""
    return [json.loads(line) for line in text.splitlines()]


def good(index: int, name: str, output: str | None = None) -> ResultLine:
    """A line of an item that succeeded."""
    return ResultLine(
        index=index,
        custom_id=name,
        status="succeeded",
        input=f"in/{name}",
        output=output,
        receipt={"bytes_in": 1},
    )


def bad(index: int, name: str) -> ResultLine:
    """A line of an item that failed."""
    error = {"code": "undecodable_image", "message": "cut short"}
    return ResultLine(index=index, custom_id=name, status="failed", input=f"in/{name}", error=error)
