"""What goes over the wire. Inputs, steps and result lines are those of `pipeline.core.jobs`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, PlainSerializer

from pipeline.core.artifact import Terms
from pipeline.core.jobs import Counts, Inputs, JobState, Step
from pipeline.operations.search import MAX_HITS, MAX_TEXT_CHARACTERS

Time = Annotated[
    AwareDatetime,
    PlainSerializer(
        lambda t: t.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"), return_type=str
    ),
]


def time_of(seconds: float | None) -> datetime | None:
    """Seconds since 1970 as a time that the wire shows as RFC 3339, in UTC."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class JobRequest(_Request):
    """A job: inputs x steps."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "steps": [{"operation": "compress", "params": {"quality": 50}}],
                    "inputs": {"kind": "upload", "upload_id": "upl_0123456789abcdef0123456789abcdef"},
                    "name": "holiday pictures",
                },
                {
                    "steps": [
                        {"operation": "stylize", "params": {"styles": ["wave"], "format": "png"}},
                        {"operation": "compress"},
                    ],
                    "inputs": {"kind": "prefix", "prefix": "owners/ann/in/"},
                    "priority": 10,
                    "output_prefix": "owners/ann/out/",
                },
            ]
        }
    )

    steps: list[Step] = Field(
        min_length=1,
        max_length=16,
        description="one after the other; each takes the picture that the one before makes",
    )
    inputs: Inputs
    name: str = Field("", max_length=255)
    job_class: Literal["bulk", "interactive"] = Field(
        "bulk", alias="class", description="interactive: 8 items at most, named in the request or an upload"
    )
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: a GPU where one is at work")
    priority: int = Field(0, ge=-100, le=100, description="among your own jobs; the highest goes first")
    paused: bool = False
    expires_at: AwareDatetime | None = Field(None, description="what has not run by then never will")
    output_prefix: str | None = Field(
        None, min_length=1, description="where outputs go instead of the job's own place"
    )


class JobChange(_Request):
    """What can be changed while a job has not ended. What is left out stays as it is."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"paused": True}, {"priority": 50}]})

    paused: bool | None = None
    priority: int | None = Field(None, ge=-100, le=100)
    expires_at: AwareDatetime | None = Field(None, description="null: never")


class ErrorOut(BaseModel):
    """An error by its stable code."""

    code: str = Field(examples=["undeliverable"])
    message: str


class Job(BaseModel):
    """A job as it stands."""

    id: str = Field(examples=["job_0123456789abcdef0123456789abcdef"])
    name: str
    state: JobState
    paused: bool
    priority: int
    steps: list[Step]
    queue: str = Field(examples=["work.bulk.cpu"])
    created_at: Time
    started_at: Time | None = None
    finished_at: Time | None = None
    expires_at: Time | None = None
    counts: Counts = Field(description="items; total is 0 until the job is planned")
    rate_items_per_s: float | None = Field(None, description="over about the last 30 s, while it runs")
    time_left_s: float | None = Field(None, description="an estimate from the rate")
    error: ErrorOut | None = Field(None, description="why the job failed")
    shards: int = 0
    bytes_in: int | None = Field(None, description="once it has ended")
    bytes_out: int | None = Field(None, description="once it has ended")


class JobList(BaseModel):
    """A page of your jobs, newest first."""

    jobs: list[Job]
    next_cursor: str | None = Field(description="null on the last page")


class UploadFileOut(BaseModel):
    """Where one file goes."""

    place: int
    name: str
    size_bytes: int
    url: str = Field(
        description="PUT the bytes here: a presigned URL, or a path of this API where clients cannot reach "
        "the store"
    )
    stored: bool = Field(description="whether it is there with the declared size")


class UploadOut(BaseModel):
    """A page of an upload."""

    upload_id: str
    page: int
    files: list[UploadFileOut]


class OperationOut(BaseModel):
    """A kind of work that a job's step can ask for."""

    name: str = Field(examples=["compress"])
    summary: str
    params_schema: dict[str, Any] = Field(description="JSON schema of a step's params")
    result_schema: dict[str, Any] = Field(description="JSON schema of the receipt in a result line")
    artifacts: dict[str, str] = Field(description="digest of each artifact that a job sent now would pin")
    terms: dict[str, Terms] = Field(
        default_factory=dict, description="under which licences these artifacts are, and whom to name"
    )
    takes_picture: bool = Field(description="whether it can follow a step that makes a picture")
    makes_picture: bool = Field(description="whether another step can follow it")
    available: bool = Field(description="whether a worker that is alive knows it")


class OperationList(BaseModel):
    """Every operation of this installation."""

    operations: list[OperationOut]


class SearchRequest(_Request):
    """What to look for in a described collection."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"text": "a dog on the beach", "limit": 10}]})

    text: str = Field(min_length=1, max_length=MAX_TEXT_CHARACTERS, pattern=r"\S", description="in words")
    limit: int = Field(10, ge=1, le=MAX_HITS)


class SearchHit(BaseModel):
    """An item that was found."""

    index: int
    custom_id: str
    score: float = Field(description="cosine of text and item, -1 to 1")
    text: str = Field("", description="what the item was described as")
    input: str | None = None
    output: str | None = None


class SearchOut(BaseModel):
    """The items that are nearest to the text, best first."""

    hits: list[SearchHit]
    rows: int = Field(description="items that were looked at")
    model: str = Field(description="digest of the artifact")


class Ready(BaseModel):
    """What this process reaches."""

    redis: bool
    store: bool


class Alive(BaseModel):
    """This process lives."""

    status: Literal["ok"] = "ok"
