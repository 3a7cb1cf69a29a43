"""Where outputs go, and how each is put exactly once with its receipt beside it."""

from __future__ import annotations

import base64
import hashlib
import json
import posixpath
import zlib
from typing import Any

from pipeline.core.errors import ObjectExists, ObjectNotFound, OutputExists
from pipeline.core.jobs import Item, JobSpec, PrefixInput, ResultLine
from pipeline.core.keys import JobKeys, check_key
from pipeline.core.operation import ItemOutput, Operation
from pipeline.core.storage import ObjectStore

IDENTITY, RECEIPT = "triptych-item", "triptych-receipt"
MOST_METADATA_BYTES = 1800  # S3 allows 2 KB for all names and values together


class Outputs:
    """Outputs of a job: those of its last step."""

    def __init__(self, store: ObjectStore, spec: JobSpec, operation: Operation) -> None:
        self._store = store
        self._spec = spec
        self._operation = operation
        self._step = len(spec.steps) - 1
        pinned = ":".join(f"{name}={digest}" for name, digest in spec.artifacts.items())
        self._digest = hashlib.sha256(pinned.encode()).hexdigest()
        self._keys = JobKeys(spec.id)

    def key(self, item: Item, extension: str | None = None) -> str:
        """A pure function of job, item, step and artifacts.

        Raises:
            Forbidden: The name that results is out of the job's `write_prefixes`.
        """
        extension = extension or self._operation.output_extension or ".bin"
        if self._spec.output_prefix is None:
            return self._keys.output(item.index, self._step, self._digest, extension)
        name = self._name(item) or f"{item.index:08d}"
        return check_key(f"{self._spec.output_prefix}{name}{extension}", self._spec.write_prefixes)

    def _name(self, item: Item) -> str:
        """Of a job over a prefix the path below it, so that folders stay apart; else the last part."""
        if isinstance(self._spec.inputs, PrefixInput):
            return item.custom_id.removeprefix(self._spec.inputs.prefix).strip("/")
        return posixpath.basename(item.custom_id.rstrip("/"))

    def find(self, item: Item) -> ResultLine | None:
        """The line of an item whose output is there already, or None."""
        if self._operation.output_extension is None:
            return None
        try:
            return self._adopt(item, self.key(item))
        except (ObjectNotFound, OutputExists):
            return None  # if somebody else's stands there, the put will say so

    def put(self, item: Item, output: ItemOutput, *, bytes_in: int, fetch_s: float) -> ResultLine:
        """Stores an output and its previews.

        Raises:
            OutputExists: Something else stands there; it was not touched.
        """
        receipt = output.receipt.model_dump(mode="json")
        receipt["bytes_in"] = bytes_in
        receipt.setdefault("seconds", {})["fetch"] = round(fetch_s, 4)
        for role, preview in output.previews.items():
            self._store.put(self._keys.preview(item.index, role), preview, content_type="image/webp")
        if output.data is None:
            return self._succeeded(item, None, receipt)
        receipt["bytes_out"] = len(output.data)
        key = self.key(item, output.extension)
        metadata = {IDENTITY: self._identity(item)}
        if len(packed := _pack(receipt)) <= MOST_METADATA_BYTES:
            metadata[RECEIPT] = packed
        try:
            self._store.put(
                key, output.data, content_type=output.content_type, metadata=metadata, if_absent=True
            )
        except ObjectExists:
            # An earlier attempt, or this very put, whose answer was lost.
            return self._adopt(item, key, receipt)
        return self._succeeded(item, key, receipt)

    def _adopt(self, item: Item, key: str, receipt: dict[str, Any] | None = None) -> ResultLine:
        """The line of an output that stands there; `receipt` stands in for one too long to be beside it."""
        metadata = self._store.stat(key).metadata
        if metadata.get(IDENTITY) != self._identity(item):
            raise OutputExists(f"another object stands at {key!r}; nothing was overwritten")
        if RECEIPT in metadata:
            receipt = _unpack(metadata[RECEIPT])
        if receipt is None:
            raise ObjectNotFound(f"no receipt stands by {key!r}")  # the item is run again, and tells
        return self._succeeded(item, key, receipt)

    def _identity(self, item: Item) -> str:
        return f"{self._spec.id}:{item.index}:{self._step}:{self._digest[:32]}"

    def _succeeded(self, item: Item, key: str | None, receipt: dict[str, Any]) -> ResultLine:
        return ResultLine(
            index=item.index,
            custom_id=item.custom_id,
            status="succeeded",
            input=item.input,
            output=key,
            receipt=receipt,
        )


def _pack(receipt: dict[str, Any]) -> str:
    """A receipt as a metadata value: ASCII, packed when it is long."""
    text = json.dumps(receipt, separators=(",", ":"))
    return text if len(text) < 1024 else "z" + base64.b64encode(zlib.compress(text.encode())).decode()


def _unpack(value: str) -> dict[str, Any]:
    text = zlib.decompress(base64.b64decode(value[1:])).decode() if value.startswith("z") else value
    receipt: dict[str, Any] = json.loads(text)
    return receipt
