"""What an operation is: its name, its typed params and result, and where its handler lives.

The API reads the types (schemas, validation); a worker resolves the handler string. So the registry can be
loaded without numpy or onnxruntime, and a message carries an operation's name only.
"""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, cast

from pydantic import BaseModel, ConfigDict

from pipeline.core.artifact import ArtifactManifest
from pipeline.core.endpoint import Endpoint
from pipeline.core.errors import ArtifactNotFound

Json = Any  # whatever json.dumps takes
Device = Literal["cpu", "cuda"]


class Params(BaseModel):
    """Base of every operation's params: unknown names are refused, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def objects(self) -> tuple[str, ...]:
        """References to what an item with these params needs beside its input: see `core.references`."""
        return ()

    def artifacts(self) -> tuple[str, ...] | None:
        """Names of the artifacts that a step with these params needs; None: its operation's own."""
        return None


class Result(BaseModel):
    """Base of every operation's result: what stands under `receipt` in a result line."""

    model_config = ConfigDict(frozen=True)


@dataclass(frozen=True)
class Installed:
    """What an installation has for a step.

    Attributes:
        manifests: Of the artifacts that its job pins, by name.
        endpoint: The remote model, where one is set up.
    """

    manifests: Mapping[str, ArtifactManifest]
    endpoint: Endpoint | None = None


# What is wrong with params, as the name of a param and a sentence, given what is installed.
Check = Callable[[Params, Installed], Sequence[tuple[str, str]]]


@dataclass(frozen=True)
class Operation:
    """A kind of work that jobs can ask for.

    Attributes:
        name: What users write, e.g. "compress".
        summary: One sentence for the API documentation and `triptych operations`.
        params: Type of the params of a step.
        result: Type of the receipt of an item.
        handler: "module:Class" of the `Handler`; only workers import it.
        artifacts: Names of the artifacts whose digests a job pins when it is accepted, unless its params
            choose others.
        output_extension: Extension of the output object, with its dot; None when all of the result is
            in the receipt. A handler may choose another one for an item.
        seconds_per_item_hint: Expected seconds an item on one core; sizes the first shards only.
        native: Whether the handler runs native code on user bytes, so that an item may kill its process.
        reads_input: Whether the handler wants the input object's bytes; else they are not fetched.
        takes_picture: Whether it can follow a step that makes pictures.
        makes_picture: Whether its output, always there, is a picture that another step can take.
        batch_items: How many items a `BatchHandler` is given at once, at most.
        gathers: Name of a list of numbers in receipts. When a job ends, they become the rows of
            `jobs/<id>/<name>.npy`, a row an item.
        check: Says at submission what nothing installed can fulfil; None: valid params are enough.
    """

    name: str
    summary: str
    params: type[Params]
    result: type[Result]
    handler: str
    artifacts: tuple[str, ...] = ()
    output_extension: str | None = None
    seconds_per_item_hint: float = 0.2
    native: bool = True
    reads_input: bool = True
    takes_picture: bool = True
    makes_picture: bool = False
    batch_items: int = 1
    gathers: str | None = None
    check: Check | None = None

    def needs(self, params: Params) -> tuple[str, ...]:
        """Names of the artifacts that a step with these params runs with."""
        chosen = params.artifacts()
        return self.artifacts if chosen is None else chosen


@dataclass(frozen=True)
class Limits:
    """Caps on one input; what is over one of them is the item's error, before any decoding."""

    max_bytes: int = 512 * 2**20
    max_pixels: int = 100_000_000
    max_frames: int = 1_000
    max_audio_s: float = 600.0


@dataclass(frozen=True)
class LoadedArtifact:
    """An artifact on local disk, the digest of every file that is there verified.

    Attributes:
        manifest: The parsed manifest.
        digest: sha256 hex of the manifest, the artifact's address.
        directory: Where the files named in the manifest lie.
    """

    manifest: ArtifactManifest
    digest: str
    directory: Path

    def path(self, role: str) -> Path:
        """Path of the file with that role in the manifest ("encoder", "tables", ...)."""
        return self.directory / self.manifest.files[role].name

    def require_layout(self, version: int) -> None:
        """Refuses what was exported for another reader.

        Raises:
            ArtifactNotFound: The manifest has a layout other than `version`.
        """
        if self.manifest.version != version:
            raise ArtifactNotFound(
                f"the artifact has layout {self.manifest.version}; this version reads {version}"
            )

    @property
    def is_whole(self) -> bool:
        """Whether no file is missing, as may be of an older built-in artifact."""
        return all(self.path(role).is_file() for role in self.manifest.files)


class Memo(Protocol):
    """What workers tell each other, through the object store: small results that cost more than they weigh.

    Names are a kind, the digest of the model and the sha256 of what went in, so that nothing is ever stale.
    Neither method raises when the store is away.
    """

    def get(self, kind: str, model: str, sha256: str) -> bytes | None:
        """What somebody has put under this name, or None."""

    def put(self, kind: str, model: str, sha256: str, data: bytes) -> None:
        """Puts a result, if it can."""


@dataclass(frozen=True)
class HandlerContext:
    """What a worker process gives every handler it makes.

    Attributes:
        device: Where networks run.
        artifacts: What the job has pinned, by name.
        limits: Caps on one input.
        device_index: Which GPU.
        find_artifact: Finds the artifact that wrote a file by the first half of its digest, hex; raises
            ArtifactNotFound. None: only what is built in can be found.
        memo: Shared with other workers; None where there is no store.
        endpoint: A remote model, where one is set up.
    """

    device: Device
    artifacts: Mapping[str, LoadedArtifact]
    limits: Limits = Limits()
    device_index: int = 0
    find_artifact: Callable[[str], LoadedArtifact] | None = None
    memo: Memo | None = None
    endpoint: Endpoint | None = None


@dataclass(frozen=True)
class FetchedObject:
    """An object that params name beside the input.

    Attributes:
        data: Its bytes, at most `Limits.max_bytes`.
        sha256: Their digest, hex.
    """

    data: bytes
    sha256: str

    @classmethod
    def of(cls, data: bytes) -> FetchedObject:
        return cls(data, hashlib.sha256(data).hexdigest())


@dataclass(frozen=True)
class ItemInput:
    """One item for a handler.

    Attributes:
        data: The input object's bytes, at most `Limits.max_bytes`.
        name: The user's own name for it (for messages; never a path to open).
        params: An instance of the operation's params type.
        sample: Whether previews for the report are wanted.
        objects: What `params.objects()` names, by reference.
    """

    data: bytes
    name: str
    params: Params
    sample: bool = False
    objects: Mapping[str, FetchedObject] = field(default_factory=dict)


@dataclass(frozen=True)
class ItemOutput:
    """What a handler made of one item.

    Attributes:
        receipt: The measured facts; the worker adds bytes in, provider and timings of its own.
        data: The output object, or None when there is none.
        extension: Overrides the operation's extension.
        content_type: MIME type of `data`.
        previews: Small WebP or JPEG pictures for the report by role ("before", "after"); empty unless
            `ItemInput.sample`.
    """

    receipt: Result
    data: bytes | None = None
    extension: str | None = None
    content_type: str = "application/octet-stream"
    previews: Mapping[str, bytes] = field(default_factory=dict)


class Handler(Protocol):
    """Runs one operation in a worker. One instance a process; its threads share it."""

    def __init__(self, context: HandlerContext) -> None: ...

    def warm_up(self) -> None:
        """Runs every graph once, so that the first item is as fast as the second."""

    def run(self, item: ItemInput) -> ItemOutput:
        """Decodes, infers and encodes one item.

        Raises:
            InvalidInput: The item is at fault (it fails, its job goes on).
            Transient: Worth another try.
        """


class BatchHandler(Handler, Protocol):
    """A handler that is faster on several items at once; its operation has `batch_items` above 1."""

    def run_batch(self, items: Sequence[ItemInput]) -> list[ItemOutput | Exception]:
        """An output or an error for each item, in order; one item never fails another.

        Each must be what `run` gives for the item alone.

        Raises:
            Transient: The whole is worth another try, item by item.
        """


def resolve_handler(operation: Operation) -> type[Handler]:
    """Imports the handler class behind an operation's "module:Class" string (workers only)."""
    module, _, name = operation.handler.partition(":")
    return cast("type[Handler]", getattr(importlib.import_module(module), name))
