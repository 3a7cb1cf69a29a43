"""Handlers that no worker has made: for files that are read in place, without server or broker."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.core.artifact import built_in_directory
from pipeline.core.operation import (
    Device,
    Handler,
    HandlerContext,
    Limits,
    Params,
    resolve_handler,
)
from pipeline.core.params import merged_params
from pipeline.core.settings import Settings
from pipeline.inference.artifacts import CODECS, find_codec_artifact, load_directory
from pipeline.inference.memory import return_large_blocks
from pipeline.operations import Registry


def local_context(
    limits: Limits | None = None, *, cache_dir: Path | None = None, device: Device = "cpu"
) -> HandlerContext:
    """A context with the built-in codec; other models are found where this user's workers have left them.

    Raises:
        ArtifactCorrupt: The built-in codec's files do not match its manifest.
    """
    return HandlerContext(
        device=device,
        artifacts={CODECS: load_directory(built_in_directory(CODECS))},
        limits=limits or Limits(),
        find_artifact=lambda start: find_codec_artifact(start, None, cache_dir),
    )


def local_handler(
    operation_name: str, params: Mapping[str, Any], settings: Settings
) -> tuple[Handler, Params]:
    """The handler of a codec's operation, and the params, checked.

    Raises:
        InvalidParams: The params are not the operation's.
        ProviderUnavailable, ArtifactCorrupt: The handler cannot be made.
    """
    return_large_blocks()
    operation = Registry().get(operation_name)
    checked = merged_params(operation, params)
    context = local_context(
        settings.limits, cache_dir=settings.artifact_cache.expanduser(), device=settings.device
    )
    return resolve_handler(operation)(context), checked
