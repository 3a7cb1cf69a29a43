"""The codecs that are compared, each as two functions of bytes, and the levels at which they are measured.

Levels are each codec's own; ours are chosen for a range of bits a pixel (see `ours`). A codec sees pixels
only: no metadata, no profile.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import Image, features

from tests.benchmarks.codec.ours import Ours

Pixels = NDArray[np.uint8]


class Codec(Protocol):
    """Something that makes whole files of pixels, uint8 (H, W, 3)."""

    def encode(self, pixels: Pixels, level: int) -> bytes: ...

    def decode(self, data: bytes) -> Pixels: ...

    def version(self) -> str:
        """What else than pixels and level the bytes depend on."""


@dataclass(frozen=True)
class Pillow:
    """A format of Pillow with fixed options."""

    format: str
    options: Mapping[str, Any]

    def encode(self, pixels: Pixels, level: int) -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, self.format, quality=level, **self.options)
        return buffer.getvalue()

    def decode(self, data: bytes) -> Pixels:
        with Image.open(io.BytesIO(data), formats=[self.format]) as image:
            return np.asarray(image.convert("RGB"))

    def version(self) -> str:
        library = {"JPEG": "libjpeg_turbo", "WEBP": "webp", "AVIF": "avif"}[self.format]
        return f"Pillow {PIL.__version__}, {library} {features.version(library)}, {dict(self.options)}"


class JpegXl:
    """libjxl at effort 7, its default."""

    def __init__(self) -> None:
        import imagecodecs  # noqa: PLC0415 - nothing but this benchmark needs it

        self._library = imagecodecs

    def encode(self, pixels: Pixels, level: int) -> bytes:
        return bytes(self._library.jpegxl_encode(pixels, level=level, effort=7, numthreads=1))

    def decode(self, data: bytes) -> Pixels:
        decoded: Pixels = self._library.jpegxl_decode(data, numthreads=1)
        return decoded

    def version(self) -> str:
        return f"imagecodecs {self._library.__version__}, {self._library.jpegxl_version()}, effort 7"


@dataclass(frozen=True)
class Anchor:
    """How a codec is called in tables and plots, and where it is measured."""

    title: str
    extension: str
    levels: tuple[int, ...]


OURS = "tri"
ANCHORS: dict[str, Anchor] = {
    "jpeg": Anchor("JPEG 4:2:0 optimised", ".jpg", (10, 25, 40, 60, 75, 90)),
    "webp": Anchor("WebP method 4", ".webp", (5, 20, 40, 60, 80, 95)),
    "avif": Anchor("AVIF default (4:2:0, speed 6)", ".avif", (20, 35, 50, 65, 80, 92)),
    "avif-psnr": Anchor("AVIF 4:4:4, speed 4, tune=psnr", ".avif", (20, 35, 50, 65, 80, 92)),
    "jxl": Anchor("JPEG XL effort 7", ".jxl", (15, 30, 50, 70, 80, 92)),
}
TITLES = {OURS: "Triptych", **{name: anchor.title for name, anchor in ANCHORS.items()}}
EXTENSIONS = {OURS: ".tri", **{name: anchor.extension for name, anchor in ANCHORS.items()}}


def make_codec(name: str, artifact: Path | None = None) -> Codec:
    """A codec by its name. `artifact`: the directory of our model, the built-in one by default."""
    if name == OURS:
        return Ours(artifact)
    if name == "jxl":
        return JpegXl()
    formats: dict[str, Pillow] = {
        "jpeg": Pillow("JPEG", {"subsampling": "4:2:0", "optimize": True}),
        "webp": Pillow("WEBP", {"method": 4}),
        "avif": Pillow("AVIF", {}),
        "avif-psnr": Pillow("AVIF", {"subsampling": "4:4:4", "speed": 4, "advanced": {"tune": "psnr"}}),
    }
    return formats[name]
