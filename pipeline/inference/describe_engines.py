"""Which engine runs a model: by what its artifact's manifest says, loaded once a process."""

from __future__ import annotations

import importlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import cast

from pipeline.core.abilities import ENGINE
from pipeline.core.errors import InvalidParams, UnsupportedByModel
from pipeline.core.operation import Device, HandlerContext, LoadedArtifact
from pipeline.inference.describe_engine import Engine
from pipeline.inference.remote_engine import engine_at
from pipeline.operations.describe import REMOTE

# `config["engine"]` of a manifest to "module:Class", called with (artifact, device, device index). A manifest
# names a row of this table, never code.
ENGINES: Mapping[str, str] = MappingProxyType(
    {
        "triptych": "pipeline.inference.built_in_engine:BuiltInEngine",
        "imported": "pipeline.inference.imported_engine:ImportedEngine",
    }
)
KEPT = 4  # models of one process; the one used longest ago goes
Make = Callable[[LoadedArtifact, Device, int], Engine]
Key = tuple[str, Device, int]


class _Loaded:
    """The models that this process has used last."""

    def __init__(self) -> None:
        self._engines: OrderedDict[Key, Engine] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, artifact: LoadedArtifact, context: HandlerContext) -> Engine:
        key = (artifact.digest, context.device, context.device_index)
        with self._lock:  # two threads that meet the same new model load it once
            engine = self._engines.pop(key, None) or _make(artifact, context)
            self._engines[key] = engine
            while len(self._engines) > KEPT:
                self._engines.popitem(last=False)
        return engine


_LOADED = _Loaded()


def engine_of(model: str, context: HandlerContext) -> Engine:
    """The engine of a model that a job names.

    Args:
        model: An artifact that the job has pinned, or "remote".
        context: Has what was pinned, and the endpoint.

    Raises:
        InvalidParams: The job has not pinned that model, or no endpoint is set up.
        UnsupportedByModel: The artifact is none of a describing model.
        ArtifactCorrupt, ProviderUnavailable: It cannot be loaded.
    """
    if model == REMOTE:
        if context.endpoint is None:
            raise InvalidParams("model: no remote endpoint is set up here (TRIPTYCH_ENDPOINT_URL)")
        return engine_at(context.endpoint)
    if model not in context.artifacts:
        raise InvalidParams(f"model: the job has no model {model!r}: a job has one, named in its step")
    return _LOADED.get(context.artifacts[model], context)


def _make(artifact: LoadedArtifact, context: HandlerContext) -> Engine:
    name = artifact.manifest.config.get(ENGINE, "triptych")
    if name not in ENGINES:
        raise UnsupportedByModel(
            f"{artifact.manifest.name!r} is a model for {name!r}, which is not known here"
        )
    module, _, of_class = ENGINES[name].partition(":")
    make = cast("Make", getattr(importlib.import_module(module), of_class))
    engine: Engine = make(artifact, context.device, context.device_index)
    return engine
