"""Handlers of this process, one for each operation and set of pinned artifacts."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from pipeline.core.artifact import built_in_digest
from pipeline.core.chain import Chain, parts_of
from pipeline.core.errors import ArtifactNotFound, TermsNotAllowed
from pipeline.core.jobs import Step
from pipeline.core.logs import get_logger
from pipeline.core.operation import Handler, HandlerContext, Operation, resolve_handler
from pipeline.core.params import merged_params
from pipeline.core.settings import Settings
from pipeline.core.storage import ObjectStore
from pipeline.core.terms import check_terms
from pipeline.inference.artifacts import find_codec_artifact, load_artifact
from pipeline.operations import Registry
from workers.chain import ChainHandler
from workers.memo import StoreMemo

log = get_logger(__name__)
KEPT = 8  # as many model versions as jobs in flight may have pinned; the one used longest ago goes


class Handlers:
    """Makes handlers when they are first needed and keeps the last few."""

    def __init__(self, settings: Settings, store: ObjectStore, registry: Registry) -> None:
        self._settings = settings
        self._store = store
        self._registry = registry
        self._made: dict[tuple[str, ...], Handler] = {}
        self._lock = threading.Lock()

    def warm_up(self) -> None:
        """Makes and warms the handler of every operation with the artifacts of this installation.

        Raises:
            ProviderUnavailable: The device that was asked for is not there.
        """
        for operation in self._registry:
            try:
                self.get(operation, {name: built_in_digest(name) for name in operation.artifacts})
            except ArtifactNotFound:
                log.warning("handler.no_artifact", operation=operation.name)
            except TermsNotAllowed as error:
                log.warning("handler.terms", operation=operation.name, error=error.message)

    def get(self, operation: Operation, digests: Mapping[str, str]) -> Handler:
        """The handler for an operation with exactly these artifacts, warm.

        Raises:
            ArtifactNotFound, ArtifactCorrupt, ProviderUnavailable, StorageUnavailable: It cannot be made.
            TermsNotAllowed: This installation does not allow one of the artifacts.
        """
        key = (operation.name, *(f"{name}={digest}" for name, digest in sorted(digests.items())))
        with self._lock:
            handler = self._made.pop(key, None) or self._make(operation, digests)
            self._made[key] = handler
            while len(self._made) > KEPT:
                self._made.pop(next(iter(self._made)))
        return handler

    def of_job(self, operation: Operation, step: Step, digests: Mapping[str, str]) -> Handler:
        """The same for all that a job asks for, as one: of several steps each has the artifacts it needs.

        Raises:
            InvalidParams: Those of several steps are not those of their operations.
        """
        if not isinstance(operation, Chain):
            return self.get(operation, digests)
        parts = parts_of(operation, merged_params(operation, step.params))
        needed = [{name: digests[name] for name in part.needs(own)} for part, own in parts]
        handlers = [self.get(part, own) for (part, _), own in zip(parts, needed, strict=True)]
        return ChainHandler(operation, handlers)

    def _make(self, operation: Operation, digests: Mapping[str, str]) -> Handler:
        settings = self._settings
        cache = settings.artifact_cache.expanduser()
        artifacts = {
            name: load_artifact(name, digest, self._store, cache) for name, digest in digests.items()
        }
        check_terms((artifact.manifest for artifact in artifacts.values()), settings.allowed_terms)
        context = HandlerContext(
            device=settings.device,
            device_index=settings.device_index,
            limits=settings.limits,
            artifacts=artifacts,
            find_artifact=lambda start: find_codec_artifact(start, self._store, cache),
            memo=StoreMemo(self._store),
            endpoint=settings.endpoint,
        )
        handler = resolve_handler(operation)(context)
        handler.warm_up()
        log.info("handler.warm", operation=operation.name, device=settings.device)
        return handler
