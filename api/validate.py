"""What a request for a job must fulfil before anything is stored.

Only what the request itself says is checked here. The lines of a manifest, and the objects under a prefix,
are the planner's to check.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from api.auth import Caller
from api.errors import FieldError, fields_invalid, invalid, validation_fields
from api.schemas import JobRequest
from api.services import Services
from pipeline.core.artifact import built_in_digest
from pipeline.core.artifact_store import find_manifest, newest_published
from pipeline.core.errors import (
    ArtifactNotFound,
    Fault,
    InvalidInput,
    ObjectNotFound,
    UnsupportedSteps,
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
from pipeline.core.queue import queue_name
from pipeline.core.references import uploaded_file
from pipeline.core.storage import ObjectStore
from pipeline.core.terms import check_terms
from pipeline.core.uploads import UploadPage, check_upload_id
from pipeline.operations import Registry

MAX_FIELD_ERRORS = 50


def checked_step(registry: Registry, request: JobRequest) -> tuple[Operation, Step]:
    """The one step, with its operation.

    Raises:
        UnsupportedSteps: More than one step.
        UnknownOperation: No such operation.
        InvalidParams: The params are not those of the operation.
    """
    if len(request.steps) > 1:
        raise UnsupportedSteps(f"a job has one step for now; this one has {len(request.steps)}")
    step = request.steps[0]
    operation = registry.get(step.operation)
    problems = _param_errors(operation, step.params, ("steps", 0, "params"))
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
    operation: Operation, params: dict[str, object], place: tuple[object, ...]
) -> list[FieldError]:
    try:
        operation.params.model_validate(params)
    except ValidationError as error:
        return validation_fields(error.errors(), place)
    return []


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
            place = ("inputs", "items", number, "params")
            merged = {**step.params, **item.params}
            found = _param_errors(operation, merged, place)
            if not found:
                objects.check(operation, merged)
                found = _impossible(operation, merged, here, place)
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
    """Digests of the artifacts that a job of this step runs with, by name: built in, else published last.

    Raises:
        InvalidParams: The params name a model that nobody has published.
        Fault: This installation lacks one of the operation's own.
    """
    params = operation.params.model_validate(step.params)
    return {name: _digest(store, operation, name) for name in operation.needs(params)}


def _digest(store: ObjectStore, operation: Operation, name: str) -> str:
    try:
        return built_in_digest(name)
    except ArtifactNotFound as error:
        if name in operation.artifacts:
            raise Fault(f"operation {operation.name}: {error.message}") from error
    try:
        return newest_published(store, name)
    except ArtifactNotFound as error:
        raise invalid("steps.0.params.model", error.message) from error


def installed(services: Services, operation: Operation, digests: Mapping[str, str]) -> Installed:
    """What a job with these artifacts would run with.

    Raises:
        TermsNotAllowed: One is under terms that this installation does not allow.
    """
    allowed = services.settings.allowed_terms
    manifests = {}
    if allowed or operation.check is not None:
        manifests = {name: find_manifest(services.store, name, digest) for name, digest in digests.items()}
    check_terms(manifests.values(), allowed)
    return Installed(manifests, services.settings.endpoint)


def check_possible(operation: Operation, step: Step, found: Installed) -> None:
    """Refuses valid params that nothing installed can fulfil.

    Raises:
        InvalidParams: Names each.
    """
    problems = _impossible(operation, step.params, found, ("steps", 0, "params"))
    if problems:
        raise fields_invalid(problems)


def _impossible(
    operation: Operation, params: Mapping[str, Any], found: Installed, place: tuple[object, ...]
) -> list[FieldError]:
    if operation.check is None:
        return []
    said = operation.check(operation.params.model_validate(params), found)
    return [FieldError(field=".".join(map(str, (*place, name))), message=sentence) for name, sentence in said]


def chosen_queue(ledger: Ledger, request: JobRequest, operation: Operation) -> str:
    """`work.<class>.<device>`; "auto" is a GPU where a worker that has one knows the operation."""
    if request.device != "auto":
        return queue_name(request.job_class, request.device)
    return queue_name(request.job_class, device_of(ledger, operation))


def device_of(ledger: Ledger, operation: Operation) -> Device:
    """A GPU where a living worker that has one knows the operation."""
    cuda = any(beat.device == "cuda" and operation.name in beat.operations for beat in ledger.workers())
    return "cuda" if cuda else "cpu"
