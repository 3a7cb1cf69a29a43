"""The built-in codec and pictures for it."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from PIL import Image

from pipeline.codec.entropy_tables import EntropyTables
from pipeline.core.artifact import built_in_directory
from pipeline.core.operation import LoadedArtifact
from pipeline.inference.artifacts import load_directory
from pipeline.inference.session import Feeds, OrtSession, Session
from pipeline.inference.tri_codec import ROLES, WINDOW_PX, TriCodec

Options = onnxruntime.SessionOptions


@lru_cache(maxsize=1)
def artifact() -> LoadedArtifact:
    """The compression artifact that ships with the package."""
    return load_directory(built_in_directory("compression"))


@lru_cache(maxsize=1)
def codec() -> TriCodec:
    """Its codec on the CPU."""
    return TriCodec.from_artifact(artifact())


def codec_of(
    *,
    window_px: int = WINDOW_PX,
    halo_px: int | None = None,
    max_batch: int = 1,
    options: Options | None = None,
) -> TriCodec:
    """The built-in codec with other windows, another batch, or sessions made with ONNX Runtime's options."""
    loaded = artifact()
    return TriCodec(
        {role: session_of(loaded.path(role), options) for role in ROLES},
        EntropyTables.load(loaded.path("tables")),
        digest=loaded.digest,
        halo_px=loaded.manifest.config["halo_px"] if halo_px is None else halo_px,
        max_batch=max_batch,
        window_px=window_px,
    )


class PlainSession:
    """A graph in ONNX Runtime as the options say."""

    def __init__(self, path: Path, options: Options) -> None:
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def run(self, feeds: Feeds) -> list[NDArray[Any]]:
        return list(self._session.run(None, dict(feeds)))


def session_of(path: Path, options: Options | None) -> Session:
    return OrtSession(path) if options is None else PlainSession(path, options)


def landscape(height_px: int, width_px: int, seed: int = 0) -> NDArray[np.uint8]:
    """uint8 (H, W, 3): smooth noise at several scales, roughly the statistics of a photograph."""
    random = np.random.default_rng(seed)
    total = np.full((height_px, width_px, 3), 128.0, np.float32)
    for cell, strength in ((64, 40), (16, 14), (4, 4)):
        size = (height_px // cell + 2, width_px // cell + 2, 3)
        noise = (random.normal(0, strength, size) + 128).clip(0, 255).astype(np.uint8)
        large = Image.fromarray(noise).resize((width_px, height_px), Image.Resampling.BICUBIC)
        total += np.asarray(large, np.float32) - 128
    return total.clip(0, 255).astype(np.uint8)
