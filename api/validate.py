"""What a request for a job must fulfil before anything is stored.

Only what the request itself says is checked here. The lines of a manifest, and the objects under a prefix,
are the planner's to check.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from api.auth import Caller
from api.errors import FieldError, fields_invalid, invalid, validation_fields
from api.schemas import JobRequest
from api.services import Services
from pipeline.core.artifact import built_in_digest
from pipeline.core.artifact_store import find_manifest, newest_published
from pipeline.core.chain import Asked, Chain, as_one, operations_in, parts_of
from pipeline.core.errors import (
    ArtifactNotFound,
    Fault,
    InvalidInput,
    ObjectNotFound,
    UploadNotFound,
)
from pipeline.core.jobs import (
    MAX_INTERACTIVE_ITEMS,
    InlineManifestInput,
    Inputs,
    KeysInput,
    ManifestInput,
    ManifestLine,
    PrefixInput,
    Step,
    UploadInput,
)
from pipeline.core.keys import UploadKeys
from pipeline.core.ledger import Ledger
from pipeline.core.operation import Device, Installed, Operation
from pipeline.core.params import overridden
from pipeline.core.queue import queue_name
from pipeline.core.references import uploaded_file
from pipeline.core.storage import ObjectStore
from pipeline.core.terms import check_terms
from pipeline.core.uploads import UploadPage, check_upload_id
from pipeline.operations import Registry

MAX_FIELD_ERRORS = 50


def checked_steps(registry: Registry, request: JobRequest) -> Asked:
    """The steps as one operation and its step.

    Raises:
        UnsupportedSteps: A step cannot follow the one before it.
        UnknownOperation: No such operation.
        InvalidParams: The params are not those of the operation.
    """
    operation, step = as_one(registry.get, request.steps)
    problems = _param_errors(operation, step.params)
    if problems:
        raise fields_invalid(problems)
    return operation, step


class ObjectCheck:
    """Whether objects that a request names one by one (inputs, styles, masks) may be read by this caller."""

    def __init__(self, store: ObjectStore, caller: Caller) -> None:
        self._store, self._caller = store, caller
        self._declared: dict[tuple[str, int], int] = {}  # files of each upload's page that was looked at

    def check(self, operation: Operation, params: Mapping[str, Any]) -> None:
        """Checks what valid params name: each key within reach, each file of an upload declared.

        Raises:
            InvalidInput: A reference is no key.
            Forbidden: It is out of the caller's reach.
            UploadNotFound: No such file of an upload of the caller's.
        """
        for reference in operation.params.model_validate(params).objects():
            self.readable(reference)

    def readable(self, reference: str) -> str:
        """The reference, a key in its normal form; raises as `check`."""
        file = uploaded_file(reference)
        if file is None:
            return self._caller.readable(reference)
        if file.place >= self._files(file.upload_id, file.page):
            raise UploadNotFound(f"no such file was declared: {reference!r}")
        return reference

    def _files(self, upload_id: str, page: int) -> int:
        if (upload_id, page) not in self._declared:
            try:
                found = self._store.get(UploadKeys(self._caller.owner, upload_id).page(page))
            except ObjectNotFound:
                raise UploadNotFound(f"no upload {upload_id!r} with a page {page}") from None
            self._declared[upload_id, page] = len(UploadPage.model_validate_json(found).files)
        return self._declared[upload_id, page]


def _param_errors(
    operation: Operation, params: Mapping[str, Any], item: int | None = None
) -> list[FieldError]:
    """What is wrong with the params of the steps, or with those that an item has in their place."""
    try:
        operation.params.model_validate(params)
    except ValidationError as error:
        return validation_fields(
            [{**one, "loc": _place(operation, one["loc"], item)} for one in error.errors()]
        )
    return []


def _place(operation: Operation, place: Sequence[object], item: int | None) -> tuple[object, ...]:
    """Where in the request stands what has this place in the params of all steps as one."""
    if item is not None:
        return ("inputs", "items", item, "params", *place)
    if isinstance(operation, Chain):
        return (*place[:2], "params", *place[2:])  # "steps", which one, where in its params
    return ("steps", 0, "params", *place)


def checked_inputs(
    store: ObjectStore,
    caller: Caller,
    request: JobRequest,
    *,
    operation: Operation,
    step: Step,
    here: Installed,
) -> Inputs:
    """The inputs, every key in its normal form and within the caller's reach.

    Raises:
        InvalidInput: A key is none; too many items for the interactive class; an item's params are wrong.
        Forbidden: A key is out of reach.
        UploadNotFound: No such upload of the caller's.
    """
    inputs = request.inputs
    count: int | None = None
    match inputs:
        case UploadInput():
            count = _upload_count(store, UploadKeys(caller.owner, check_upload_id(inputs.upload_id)))
        case KeysInput():
            count = len(inputs.keys)
            inputs = KeysInput(keys=[caller.readable(key) for key in inputs.keys])
        case InlineManifestInput():
            count = len(inputs.items)
            checked = _checked_items(store, caller, inputs.items, operation=operation, step=step, here=here)
            inputs = InlineManifestInput(items=checked)
        case PrefixInput():
            inputs = PrefixInput(prefix=caller.readable_prefix(inputs.prefix))
        case ManifestInput():
            inputs = ManifestInput(key=caller.readable(inputs.key))
    if request.job_class == "interactive" and (count is None or count > MAX_INTERACTIVE_ITEMS):
        said = f"inputs of kind {inputs.kind!r}" if count is None else f"{count} items"
        raise invalid(
            "class", f"interactive jobs name {MAX_INTERACTIVE_ITEMS} items at most; these are {said}"
        )
    return inputs


def _upload_count(store: ObjectStore, keys: UploadKeys) -> int:
    """How many files the upload has: exactly for one page, at least for more."""
    pages = [page.key for page in store.list(keys.pages_prefix)]
    if not pages:
        raise UploadNotFound(f"no upload {keys.upload_id!r}")
    missing = next((number for number, key in enumerate(pages) if key != keys.page(number)), None)
    if missing is not None:
        raise InvalidInput(
            f"page {missing} of {keys.upload_id!r} is missing, though later ones were declared"
        )
    return len(UploadPage.model_validate_json(store.get(pages[0])).files) + len(pages) - 1


def _checked_items(
    store: ObjectStore,
    caller: Caller,
    items: list[ManifestLine],
    *,
    operation: Operation,
    step: Step,
    here: Installed,
) -> list[ManifestLine]:
    problems: list[FieldError] = []
    objects = ObjectCheck(store, caller)
    seen: set[str] = set()
    checked = []
    for number, item in enumerate(items):
        if item.custom_id in seen:
            problems.append(FieldError(field=f"inputs.items.{number}.custom_id", message="used before"))
        seen.add(item.custom_id)
        if item.params:
            merged = overridden(operation, step.params, item.params)
            found = _param_errors(operation, merged, number)
            if not found:
                objects.check(operation, merged)
                found = _impossible(operation, step, here, merged, number)
            problems += found
        if len(problems) >= MAX_FIELD_ERRORS:
            break
        checked.append(item.model_copy(update={"input": objects.readable(item.input)}))
    if problems:
        raise fields_invalid(problems)
    return checked


def checked_output_prefix(caller: Caller, prefix: str | None) -> str | None:
    """Where outputs go, ending with a slash; raises InvalidInput or Forbidden."""
    return None if prefix is None else caller.writable_prefix(prefix)


def checked_time(field: str, when: datetime | None) -> float | None:
    """Seconds since 1970 of a time to come; raises InvalidParams for one that is past."""
    if when is None:
        return None
    seconds = when.timestamp()
    if seconds <= time.time():
        raise invalid(field, "lies in the past")
    return seconds


def pinned(store: ObjectStore, operation: Operation, step: Step) -> dict[str, str]:
    """Digests of the artifacts that a job runs with, by name: built in, else published last.

    Raises:
        InvalidParams: The params name a model that nobody has published.
        Fault: This installation lacks one of the operation's own.
    """
    parts = parts_of(operation, operation.params.model_validate(step.params))
    return {
        name: _digest(store, part, name, number)
        for number, (part, params) in enumerate(parts)
        for name in part.needs(params)
    }


def _digest(store: ObjectStore, operation: Operation, name: str, number: int) -> str:
    try:
        return built_in_digest(name)
    except ArtifactNotFound as error:
        if name in operation.artifacts:
            raise Fault(f"operation {operation.name}: {error.message}") from error
    try:
        return newest_published(store, name)
    except ArtifactNotFound as error:
        raise invalid(f"steps.{number}.params.model", error.message) from error


def installed(services: Services, operation: Operation, digests: Mapping[str, str]) -> Installed:
    """What a job with these artifacts would run with.

    Raises:
        TermsNotAllowed: One is under terms that this installation does not allow.
    """
    allowed = services.settings.allowed_terms
    manifests = {}
    if allowed or any(part.check is not None for part in operations_in(operation)):
        manifests = {name: find_manifest(services.store, name, digest) for name, digest in digests.items()}
    check_terms(manifests.values(), allowed)
    return Installed(manifests, services.settings.endpoint)


def check_possible(operation: Operation, step: Step, found: Installed) -> None:
    """Refuses valid params that nothing installed can fulfil.

    Raises:
        InvalidParams: Names each.
    """
    problems = _impossible(operation, step, found)
    if problems:
        raise fields_invalid(problems)


def _impossible(
    operation: Operation,
    step: Step,
    found: Installed,
    params: Mapping[str, Any] | None = None,
    item: int | None = None,
) -> list[FieldError]:
    """What nothing can fulfil: of the job's params, or of those that an item has in their place.

    Each step runs with what its own params in the job need, and an item's are held to that.
    """
    pinned_for = parts_of(operation, operation.params.model_validate(step.params))
    asked = pinned_for if params is None else parts_of(operation, operation.params.model_validate(params))
    said: list[tuple[tuple[object, ...], str]] = []
    for number, ((part, own), (_, wanted)) in enumerate(zip(pinned_for, asked, strict=True)):
        needed = part.needs(own)
        there = {name: manifest for name, manifest in found.manifests.items() if name in needed}
        for name, sentence in part.check(wanted, replace(found, manifests=there)) if part.check else ():
            said.append((("steps", number, name) if len(asked) > 1 else (name,), sentence))
    return validation_fields([{"loc": _place(operation, at, item), "msg": sentence} for at, sentence in said])


def chosen_queue(ledger: Ledger, request: JobRequest, operation: Operation) -> str:
    """`work.<class>.<device>`; "auto" is a GPU where a worker that has one knows the operation."""
    if request.device != "auto":
        return queue_name(request.job_class, request.device)
    return queue_name(request.job_class, device_of(ledger, operation))


def device_of(ledger: Ledger, operation: Operation) -> Device:
    """A GPU where a living worker that has one knows the operation, or all of several."""
    names = {part.name for part in operations_in(operation)}
    cuda = any(beat.device == "cuda" and names <= {*beat.operations} for beat in ledger.workers())
    return "cuda" if cuda else "cpu"
