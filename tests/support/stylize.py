"""The built-in artifact of stylization at work, and pictures for it."""

from __future__ import annotations

import json
from collections import Counter
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.core.artifact import BUILT_IN, built_in_directory
from pipeline.core.operation import FetchedObject, HandlerContext, ItemInput, ItemOutput, LoadedArtifact
from pipeline.inference.artifacts import load_directory
from pipeline.inference.painter import MARGIN_PX, ROLES, Geometry, Painter
from pipeline.inference.session import Feeds, OrtSession, Session
from pipeline.inference.stylize import Stylizer
from pipeline.operations.stylize import StylizeParams
from tests.support.image_bytes import saved


@lru_cache(maxsize=1)
def artifact() -> LoadedArtifact:
    """The stylization artifact that ships with the package."""
    return load_directory(built_in_directory("stylization"))


@lru_cache(maxsize=1)
def fast_artifact() -> LoadedArtifact:
    """The smaller one."""
    return load_directory(built_in_directory("stylization_fast"))


class CountedSession:
    """A session that counts its runs."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.runs = 0

    def run(self, feeds: Feeds) -> list[NDArray[np.generic]]:
        self.runs += 1
        return self._session.run(feeds)


@lru_cache(maxsize=1)
def graphs() -> dict[str, Session]:
    """Its graphs on the CPU."""
    return {role: OrtSession(artifact().path(role)) for role in ROLES}


def painter_of(*, window_px: int = 1 << 14, kept_px: int = 1 << 30, margin_px: int = MARGIN_PX) -> Painter:
    """The built-in painter with other windows; by default everything is one."""
    config = artifact().manifest.config
    return Painter(
        graphs(),
        Geometry(**{name: config[name] for name in Geometry.__dataclass_fields__}),
        digest=artifact().digest,
        style_size=config["style_size"],
        window_px=window_px,
        kept_px=kept_px,
        margin_px=margin_px,
    )


class MemoryMemo:
    """A `Memo` that remembers what was asked of it."""

    def __init__(self) -> None:
        self.known: dict[tuple[str, str, str], bytes] = {}
        self.asked: Counter[str] = Counter()

    def get(self, kind: str, model: str, sha256: str) -> bytes | None:
        self.asked["get"] += 1
        return self.known.get((kind, model, sha256))

    def put(self, kind: str, model: str, sha256: str, data: bytes) -> None:
        self.asked["put"] += 1
        self.known[kind, model, sha256] = data


def stylizer(memo: MemoryMemo | None = None) -> Stylizer:
    """A handler as a worker has it, cold."""
    return Stylizer(HandlerContext("cpu", {"stylization": artifact()}, memo=memo))


def stylize(
    handler: Stylizer,
    data: bytes,
    objects: dict[str, bytes] | None = None,
    *,
    sample: bool = False,
    **params: object,
) -> ItemOutput:
    """One item; styles are ("wave",) unless given."""
    checked = StylizeParams.model_validate_json(json.dumps({"styles": ["wave"], **params}))
    fetched = {name: FetchedObject.of(body) for name, body in (objects or {}).items()}
    return handler.run(ItemInput(data, "a", checked, sample=sample, objects=fetched))


def gallery_picture(name: str, side_px: int = 512) -> NDArray[np.uint8]:
    """A built-in style's pixels, smaller if asked."""
    with Image.open(gallery_path(name)) as image:
        return np.asarray(image.convert("RGB").resize((side_px, side_px)))


def gallery_path(name: str) -> Path:
    return BUILT_IN / "gallery" / f"{name}.jpg"


def png(pixels: NDArray[np.uint8]) -> bytes:
    """Pixels, with one, three or four channels, as a PNG file."""
    return saved(Image.fromarray(pixels), "PNG")
