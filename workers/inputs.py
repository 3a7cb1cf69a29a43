"""Turns any form of input into items, one after the other, whatever their number."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count

from pydantic import ValidationError

from pipeline.core.chain import Asked
from pipeline.core.errors import InputMissing, InputTooLarge, InvalidManifest, ObjectNotFound, TriptychError
from pipeline.core.jobs import (
    InlineManifestInput,
    Item,
    JobSpec,
    KeysInput,
    ManifestInput,
    ManifestLine,
    PrefixInput,
    UploadInput,
)
from pipeline.core.keys import UploadKeys
from pipeline.core.params import merged_params
from pipeline.core.references import object_key
from pipeline.core.storage import ObjectStore
from pipeline.core.uploads import UploadPage

MAX_LINE_BYTES = 1 << 20


def items_of(spec: JobSpec, asked: Asked, store: ObjectStore, *, max_bytes: int) -> Iterator[Item]:
    """A job's items in input order. One that cannot run carries its error; the others are not held up.

    Args:
        spec: The job.
        asked: What all of its steps ask for; params of single items are checked against it.
        store: Where inputs lie.
        max_bytes: Uploaded files over this are refused here.

    Raises:
        InvalidManifest: The manifest object does not exist.
        UploadNotFound: Nothing was declared under that id.
    """
    inputs = spec.inputs
    if isinstance(inputs, UploadInput):
        yield from _uploaded(spec, inputs, store, max_bytes)
    elif isinstance(inputs, KeysInput):
        for index, key in enumerate(inputs.keys):
            yield Item(index=index, custom_id=key, input=key)
    elif isinstance(inputs, PrefixInput):
        objects = (info.key for info in store.list(inputs.prefix) if not info.key.endswith("/"))
        for index, key in enumerate(objects):
            yield Item(index=index, custom_id=key, input=key)
    elif isinstance(inputs, InlineManifestInput):
        for index, line in enumerate(inputs.items):
            yield _item(index, line, spec, asked)
    else:
        yield from _listed(spec, inputs, asked, store)


def _uploaded(spec: JobSpec, inputs: UploadInput, store: ObjectStore, max_bytes: int) -> Iterator[Item]:
    keys = UploadKeys(spec.owner, inputs.upload_id)
    index = count()
    for number in count():
        try:
            page = UploadPage.model_validate_json(store.get(keys.page(number)))
        except ObjectNotFound:
            return
        page_files = f"{keys.files_prefix}{number:06d}/"
        stored = {info.key: info.size_bytes for info in store.list(page_files)}
        for place, file in enumerate(page.files):
            key = keys.file(number, place)
            error = _upload_error(stored.get(key), file.size_bytes, max_bytes)
            yield Item(
                index=next(index),
                custom_id=file.name,
                input=None if error else key,
                error={"code": error.code, "message": error.message} if error else None,
            )


def _upload_error(stored_bytes: int | None, declared_bytes: int, max_bytes: int) -> TriptychError | None:
    if stored_bytes is None:
        return InputMissing("this file was declared but never uploaded")
    if stored_bytes != declared_bytes:
        return InputMissing(f"the upload has {stored_bytes} bytes where {declared_bytes} were declared")
    if stored_bytes > max_bytes:
        return InputTooLarge(f"{stored_bytes} bytes; at most {max_bytes} are allowed")
    return None


def _listed(spec: JobSpec, inputs: ManifestInput, asked: Asked, store: ObjectStore) -> Iterator[Item]:
    index = count()
    try:
        for number, line in enumerate(_lines(store.stream(inputs.key)), start=1):
            if line.strip():
                yield _parsed(next(index), number, line, spec, asked)
    except ObjectNotFound:
        raise InvalidManifest(f"no manifest {inputs.key!r}") from None


def _lines(chunks: Iterator[bytes]) -> Iterator[bytes]:
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        yield from whole
        if len(rest) > MAX_LINE_BYTES:
            raise InvalidManifest(f"a line has more than {MAX_LINE_BYTES} bytes: not a JSONL manifest")
    yield rest


def _parsed(index: int, number: int, line: bytes, spec: JobSpec, asked: Asked) -> Item:
    try:
        parsed = ManifestLine.model_validate(json.loads(line))
    except (ValidationError, ValueError, RecursionError) as error:
        what = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        return _broken(index, f"line-{number}", InvalidManifest(f"line {number} of the manifest: {what}"))
    return _item(index, parsed, spec, asked)


def _item(index: int, line: ManifestLine, spec: JobSpec, asked: Asked) -> Item:
    try:
        key = object_key(line.input, spec.owner, spec.read_prefixes)
        operation, step = asked
        for reference in merged_params(operation, step.params, line.params).objects():
            object_key(reference, spec.owner, spec.read_prefixes)
    except TriptychError as error:
        return _broken(index, line.custom_id, error)
    return Item(index=index, custom_id=line.custom_id, input=key, params=line.params)


def _broken(index: int, custom_id: str, error: TriptychError) -> Item:
    return Item(
        index=index, custom_id=custom_id, input=None, error={"code": error.code, "message": error.message}
    )
