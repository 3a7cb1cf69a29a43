"""The only place that makes or reads object keys.

jobs/<id>/job.json  state.json  plan.json  summary.json  results.jsonl  errors.jsonl  report.html
jobs/<id>/<name>.npy                  a list of numbers of every receipt, a row an item (embeddings)
jobs/<id>/manifest/<plan>/<shard>.jsonl  results/<entry>.<result>.jsonl    outputs/...     previews/...
active/<job id>                      a job that has not ended
index/<owner>/<time, newest first>-<job id>   what `GET /v1/jobs` lists
auth/<sha256>.json                   an API key
artifacts/<name>/<digest>/<file>     an exported model
artifacts/memo-<kind>/<model>/<sha256>        what a model made of some bytes, for other workers
owners/<owner>/...                   what a user's key reaches unless told otherwise
"""

from __future__ import annotations

import posixpath
import unicodedata
from dataclasses import dataclass

from pipeline.core.errors import Forbidden, InvalidInput

ARTIFACTS = "artifacts/"
RESERVED = ("jobs/", "auth/", "active/", ARTIFACTS, "index/")
ACTIVE = "active/"
AUTH = "auth/"
JOBS = "jobs/"
MAX_KEY_BYTES = 1024


@dataclass(frozen=True)
class JobKeys:
    """Keys of one job."""

    job_id: str

    @property
    def prefix(self) -> str:
        return f"{JOBS}{self.job_id}/"

    @property
    def spec(self) -> str:
        return f"{self.prefix}job.json"

    @property
    def decision(self) -> str:
        return f"{self.prefix}state.json"

    @property
    def plan(self) -> str:
        return f"{self.prefix}plan.json"

    @property
    def summary(self) -> str:
        return f"{self.prefix}summary.json"

    @property
    def results(self) -> str:
        return f"{self.prefix}results.jsonl"

    @property
    def errors(self) -> str:
        return f"{self.prefix}errors.jsonl"

    def gathered(self, name: str) -> str:
        """Where the numbers of that name in receipts are gathered."""
        return f"{self.prefix}{name}.npy"

    @property
    def report(self) -> str:
        return f"{self.prefix}report.html"

    @property
    def probe(self) -> str:
        """Put to see whether the store takes anything; deleted with the job."""
        return f"{self.prefix}probe"

    @property
    def active(self) -> str:
        return f"{ACTIVE}{self.job_id}"

    def manifest(self, plan_token: str, shard: int) -> str:
        # Zero-padded, so that listing order is shard order.
        return f"{self.prefix}manifest/{plan_token}/{shard:08d}.jsonl"

    def shard_results(self, entry: str, result: str) -> str:
        """Where the results of a ledger entry lie; `result` is a `ResultName` in text."""
        shard, _, item = entry.partition(".")
        return f"{self.shard_results_prefix}{int(shard):08d}{f'i{item}' if item else ''}.{result}.jsonl"

    @property
    def shard_results_prefix(self) -> str:
        return f"{self.prefix}results/"

    def output(self, index: int, step: int, digest: str, extension: str) -> str:
        """Where an output goes: a pure function of job, item, step and artifact digest."""
        return f"{self.prefix}outputs/{step}-{digest[:12]}/{index:08d}{extension}"

    def preview(self, index: int, role: str) -> str:
        return f"{self.prefix}previews/{index:08d}.{role}"

    @property
    def previews_prefix(self) -> str:
        return f"{self.prefix}previews/"


@dataclass(frozen=True)
class ResultName:
    """Says all about a shard's results that the ledger needs, so that a listing can rebuild it.

    Attributes:
        token: The attempt that wrote them.
        held: Indices of suspect items that this attempt left out; each has an entry of its own.
    """

    token: str
    succeeded: int
    failed: int
    cancelled: int
    held: tuple[int, ...] = ()

    def __str__(self) -> str:
        counts = f"{self.token}.{self.succeeded}-{self.failed}-{self.cancelled}"
        return f"{counts}.{'-'.join(map(str, self.held))}" if self.held else counts

    @classmethod
    def parse(cls, text: str) -> ResultName:
        token, counts, *held = text.split(".")
        succeeded, failed, cancelled = map(int, counts.split("-"))
        return cls(token, succeeded, failed, cancelled, tuple(map(int, held[0].split("-"))) if held else ())


def parse_shard_results(key: str) -> tuple[str, str]:
    """(entry, result) of a results key; the inverse of `JobKeys.shard_results`."""
    entry, _, result = key.rpartition("/")[2].removesuffix(".jsonl").partition(".")
    shard, _, item = entry.partition("i")
    return (f"{int(shard)}.{item}" if item else str(int(shard))), result


def auth_key(key_sha256: str) -> str:
    return f"{AUTH}{key_sha256}.json"


def index_prefix(owner: str) -> str:
    return f"index/{owner}/"


def index_key(owner: str, created_at: float, job_id: str) -> str:
    """Sorts an owner's jobs newest first; `parse_index_key` gives the job id back."""
    return f"{index_prefix(owner)}{10**13 - int(created_at * 1000):013d}-{job_id}"


def parse_index_key(key: str) -> str:
    return key.rpartition("/")[2].partition("-")[2]


def artifact_prefix(name: str, digest: str) -> str:
    return f"{ARTIFACTS}{name}/{digest}/"


def memo_key(kind: str, model: str, sha256: str) -> str:
    return f"{ARTIFACTS}memo-{kind}/{model}/{sha256}"


def owner_prefix(owner: str) -> str:
    return f"owners/{owner}/"


@dataclass(frozen=True)
class UploadKeys:
    """Keys of one upload: pages of declared names and sizes, and the files by page and place."""

    owner: str
    upload_id: str

    @property
    def prefix(self) -> str:
        return f"{owner_prefix(self.owner)}uploads/{self.upload_id}/"

    def page(self, page: int) -> str:
        return f"{self.prefix}pages/{page:06d}.json"

    @property
    def pages_prefix(self) -> str:
        return f"{self.prefix}pages/"

    def file(self, page: int, place: int) -> str:
        # The user's name stays in the page: names may hold anything, keys may not.
        return f"{self.prefix}files/{page:06d}/{place:06d}"

    @property
    def files_prefix(self) -> str:
        return f"{self.prefix}files/"


def check_key(key: str, prefixes: list[str] | tuple[str, ...]) -> str:
    """The normalised key, if one of the prefixes reaches it.

    Raises:
        InvalidInput: Not a key: empty, too long, control characters, or not in its plainest form.
        Forbidden: One of Triptych's own prefixes, or out of the prefixes' reach.
    """
    normal = unicodedata.normalize("NFC", key)
    plain = posixpath.normpath(normal) + ("/" if normal.endswith("/") else "")
    if not normal or normal != plain or normal.startswith(("/", "../")) or normal in ("./", "../", ".", ".."):
        raise InvalidInput(f"not a plain object key: {key!r}")
    unusable = any(unicodedata.category(c) in ("Cc", "Cs") for c in normal)  # controls, half characters
    if unusable or len(normal.encode()) > MAX_KEY_BYTES:
        raise InvalidInput(f"not a usable object key: {key!r}")
    if f"{normal}/".startswith(RESERVED):
        raise Forbidden(f"{key!r} is Triptych's own")
    if not any(normal.startswith(prefix) for prefix in prefixes):
        raise Forbidden(f"{key!r} is out of this API key's reach")
    return normal
