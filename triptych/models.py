"""What the API answers, typed. Fields that a newer server adds are ignored."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from pipeline.core.jobs import Counts, JobState, Step


class _Answer(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class JobError(_Answer):
    """Why a job (not an item) failed."""

    code: str
    message: str


class Job(_Answer):
    """A job as the API shows it.

    Attributes:
        counts: Items by outcome; `total` is 0 until the job is planned.
        rate_items_per_s: Items a second over about the last 30 s.
        time_left_s: Expected seconds to its end.
        bytes_in, bytes_out: Of all items together; None until the job has ended.
    """

    id: str
    name: str = ""
    state: JobState
    paused: bool = False
    priority: int = 0
    steps: list[Step] = []
    queue: str = ""
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    expires_at: datetime | None = None
    counts: Counts = Counts()
    rate_items_per_s: float | None = None
    time_left_s: float | None = None
    error: JobError | None = None
    shards: int = 0
    bytes_in: int | None = None
    bytes_out: int | None = None

    @property
    def ended(self) -> bool:
        return self.state.ended


class JobPage(_Answer):
    """One page of jobs, newest first."""

    jobs: list[Job]
    next_cursor: str | None = None


class ModelTerms(_Answer):
    """Under which terms a model is."""

    licence: str
    data_sets: list[str] = []
    attributions: list[str] = []
    note: str = ""


class OperationInfo(_Answer):
    """A kind of work that the server knows.

    Attributes:
        params_schema: JSON schema of a step's params.
        result_schema: JSON schema of an item's receipt.
        terms: Of its models, by name.
        takes_picture: Whether it can follow a step that makes a picture.
        makes_picture: Whether another step can follow it.
        available: Whether a living worker can run it.
    """

    name: str
    summary: str = ""
    params_schema: dict[str, Any] = {}
    result_schema: dict[str, Any] = {}
    artifacts: dict[str, str] = {}
    terms: dict[str, ModelTerms] = {}
    takes_picture: bool = True
    makes_picture: bool = True
    available: bool = True


class OperationList(_Answer):
    operations: list[OperationInfo]


class SearchHit(_Answer):
    """An item that a search found.

    Attributes:
        score: Cosine of text and item, -1 to 1.
        text: What the item was described as.
    """

    index: int
    custom_id: str
    score: float
    text: str = ""
    input: str | None = None
    output: str | None = None


class SearchResult(_Answer):
    """What a search found, best first."""

    hits: list[SearchHit]
    rows: int = 0
    model: str = ""


class UploadFile(_Answer):
    """One file of an upload page, and where its bytes go."""

    place: int
    name: str
    size_bytes: int
    url: str
    stored: bool = False


class UploadPage(_Answer):
    """One page of an upload."""

    upload_id: str
    page: int
    files: list[UploadFile]
