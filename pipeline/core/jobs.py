"""Jobs, steps, items and the states that a job may go through."""

from __future__ import annotations

import hashlib
import re
import secrets
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from pipeline.core.errors import IllegalTransition

JOB_ID = re.compile(r"^job_[0-9a-f]{32}$")
MAX_INTERACTIVE_ITEMS = 8
# Items that a report shows, and that operations judge, which may cost more than the work itself: all of a
# small job, one in a hundred of a large one.
MIN_SAMPLES, MAX_SAMPLES = 24, 48

CustomId = Annotated[str, StringConstraints(min_length=1, max_length=1024)]


class JobState(StrEnum):
    """Where a job stands. Paused is a flag beside it, not a state."""

    ACCEPTED = "accepted"
    PLANNING = "planning"
    RUNNING = "running"
    CANCELLING = "cancelling"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"

    @property
    def ended(self) -> bool:
        return self in ENDED


ENDED = frozenset({JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED, JobState.EXPIRED})

LEGAL: dict[JobState, frozenset[JobState]] = {
    JobState.ACCEPTED: frozenset({JobState.PLANNING, JobState.CANCELLING, JobState.FAILED}),
    JobState.PLANNING: frozenset({JobState.RUNNING, JobState.CANCELLING, JobState.FAILED}),
    JobState.RUNNING: frozenset({JobState.COMPLETED, JobState.CANCELLING, JobState.FAILED}),
    # An expiry cancels too; which of the two it was decides how the job ends.
    JobState.CANCELLING: frozenset({JobState.CANCELLED, JobState.EXPIRED, JobState.FAILED}),
    **{state: frozenset() for state in ENDED},
}


def check_transition(before: JobState, after: JobState) -> None:
    """Raises IllegalTransition unless a job may go from `before` to `after`."""
    if after not in LEGAL[before]:
        raise IllegalTransition(f"a job that is {before} cannot become {after}")


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Step(_Model):
    """One operation with its params."""

    operation: str = Field(examples=["compress"])
    params: dict[str, Any] = Field(default_factory=dict, examples=[{"quality": 50}])


class UploadInput(_Model):
    """Every file of an upload, in the order in which it was declared."""

    kind: Literal["upload"] = "upload"
    upload_id: str = Field(examples=["upl_0123456789abcdef0123456789abcdef"])


class KeysInput(_Model):
    """Objects of the bucket by key, in this order."""

    kind: Literal["keys"] = "keys"
    keys: list[str] = Field(min_length=1, max_length=100_000, examples=[["owners/ann/in/1.jpg"]])


class PrefixInput(_Model):
    """Every object under a prefix of the bucket, in key order."""

    kind: Literal["prefix"] = "prefix"
    prefix: str = Field(min_length=1, examples=["owners/ann/in/"])


class ManifestInput(_Model):
    """A JSONL object of the bucket, a line an item: `custom_id`, `input` (a key), optional `params`."""

    kind: Literal["manifest"] = "manifest"
    key: str = Field(examples=["owners/ann/in/manifest.jsonl"])


class InlineManifestInput(_Model):
    """The lines of a manifest in the request itself."""

    kind: Literal["items"] = "items"
    items: list[ManifestLine] = Field(min_length=1, max_length=10_000)


class ManifestLine(_Model):
    """One line of a manifest."""

    custom_id: CustomId
    input: str = Field(
        min_length=1,
        max_length=1024,
        description="key of an object, or a file of an upload (upl_.../page/place)",
    )
    params: dict[str, Any] | None = Field(
        None,
        description="replaces params of the job's step, name by name; in a job of several steps it is "
        '{"steps": [{...}, {...}]}, and each replaces params of its own step',
    )


InlineManifestInput.model_rebuild()

Inputs = Annotated[
    UploadInput | KeysInput | PrefixInput | ManifestInput | InlineManifestInput, Field(discriminator="kind")
]


class JobSpec(_Model):
    """What was asked: `jobs/<id>/job.json`. Written once, before the API answers.

    Attributes:
        artifacts: Digest of each artifact, by name, pinned when the job was accepted.
        queue: Where its shards go, `work.<class>.<device>`.
        output_prefix: Where outputs go instead of the job's own prefix; checked against `write_prefixes`.
        read_prefixes, write_prefixes: What the owner's key reached when the job was accepted; the planner
            holds every manifest line against them.
        request_sha256: Digest of the request's body, for Idempotency-Key.
    """

    id: str
    owner: str
    created_at: float
    steps: list[Step]
    inputs: Inputs
    artifacts: dict[str, str]
    queue: str
    name: str = ""
    output_prefix: str | None = None
    read_prefixes: list[str]
    write_prefixes: list[str]
    request_sha256: str
    request_id: str = ""

    @property
    def operations(self) -> str:
        """Of all steps, in one word."""
        return "+".join(step.operation for step in self.steps)


class Decision(_Model):
    """What a user decided since: `jobs/<id>/state.json`. In storage before the API answers."""

    cancelled: bool = False
    deleted: bool = False
    paused: bool = False
    priority: int = Field(0, ge=-100, le=100)
    expires_at: float | None = None


class Item(_Model):
    """One input of a job, a line of `manifest/<shard>.jsonl`.

    Attributes:
        index: Place in the job's input order, from 0.
        custom_id: The user's own name for it.
        input: Object key; None when planning already found that the item cannot run (`error` says why).
        params: Params that replace those of the step, name by name.
        sample: Whoever runs it puts previews for the report.
    """

    index: int
    custom_id: str
    input: str | None = None  # manifests leave out what is None
    params: dict[str, Any] | None = None
    sample: bool = False
    error: dict[str, str] | None = None


class Counts(_Model):
    """Items by outcome."""

    total: int = 0
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0

    @property
    def done(self) -> int:
        return self.succeeded + self.failed + self.cancelled


class ResultLine(_Model):
    """One line of results: exactly one an item."""

    index: int
    custom_id: str
    status: Literal["succeeded", "failed", "cancelled"]
    input: str | None = None
    output: str | None = None
    receipt: dict[str, Any] | None = None
    error: dict[str, str] | None = None


class Plan(_Model):
    """`jobs/<id>/plan.json`: which planning counts. The first one put wins, and is put last.

    Attributes:
        token: Names the planning; its shards lie under `manifest/<token>/`.
    """

    token: str
    shards: int
    items: int


class Summary(_Model):
    """`jobs/<id>/summary.json`, put last of all: a second finaliser finds it and stops.

    Attributes:
        winners: For each ledger entry ("17", or "17.4" for a suspect item), the results that count.
    """

    state: JobState
    counts: Counts
    created_at: float
    started_at: float | None
    finished_at: float
    bytes_in: int = 0
    bytes_out: int = 0
    error: dict[str, str] | None = None
    shards: int = 0
    winners: dict[str, str] = {}


def new_job_id() -> str:
    """An id that nobody can guess."""
    return f"job_{secrets.token_hex(16)}"


def job_id_for(owner: str, idempotency_key: str) -> str:
    """The id of the job that this owner submits under this Idempotency-Key, whoever asks, however often."""
    digest = hashlib.sha256(f"{len(owner)}:{owner}:{idempotency_key}".encode()).hexdigest()
    return f"job_{digest[:32]}"
