"""Style vectors: each style is encoded once, and then known by the digest of its bytes.

They are kept in this process and in the object store, where other workers find them. A vector is a kilobyte.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline.core.artifact import BUILT_IN
from pipeline.core.errors import InvalidInput, UnusableObject
from pipeline.core.operation import FetchedObject, Limits, Memo
from pipeline.imaging.decode import decode_image
from pipeline.imaging.hidden import fill_hidden
from pipeline.imaging.recolour import Palette, with_palette
from pipeline.imaging.resize import resized, size_within
from pipeline.inference.images import Images
from pipeline.inference.painter import Painter

KEPT = 4096  # styles of one process; the one used longest ago goes
SIDE_PX = 512  # a style's longer side when it is encoded; smaller ones stay as they are
# Also names how a style is looked at: its bytes alone do not say into which vector they become.
_KIND = f"styles-{SIDE_PX}"

Floats = NDArray[np.float32]
Read = TypeVar("Read")


@dataclass(frozen=True, eq=False)
class Style:
    """A style to look at.

    Attributes:
        name: What the receipt calls it.
        label: What messages call it.
        file: Its file.
        built_in: It is one of ours: limits on what users send are not for it.
    """

    name: str
    label: str
    file: FetchedObject
    built_in: bool = False


class Styles:
    """Encodes styles and remembers them. Threads may share it."""

    def __init__(self, painter: Painter, images: Images, memo: Memo | None) -> None:
        self._painter, self._images, self._memo = painter, images, memo
        self._known: OrderedDict[str, Floats] = OrderedDict()
        self._gallery: dict[str, Style] = {}
        self._lock, self._encoding = threading.Lock(), threading.Lock()

    def named(self, name: str) -> Style:
        """A style of the built-in gallery."""
        with self._lock:
            if name not in self._gallery:
                self._gallery[name] = Style(name, f"style {name!r}", _gallery_file(name), built_in=True)
            return self._gallery[name]

    def vector(self, style: Style) -> tuple[Floats, bool]:
        """The style's vector, float32 (S,), and whether it had to be encoded for that.

        Raises:
            UnusableObject: It is not an image.
        """
        sha256 = style.file.sha256
        if (known := self._find(sha256)) is not None:
            return known, False
        with self._encoding:  # threads that meet the same new style encode it once
            if (known := self._find(sha256)) is not None:
                return known, False
            found = self._told(sha256)
            vector = self._painter.encode_style(self.look(style)) if found is None else found
            with self._lock:
                self._known[sha256] = vector
                while len(self._known) > KEPT:
                    self._known.popitem(last=False)
            if found is None and self._memo is not None:
                self._memo.put(_KIND, self._painter.digest, sha256, vector.astype("<f4").tobytes())
        return vector, found is None

    def recoloured(self, style: Style, palette: Palette) -> Floats:
        """The vector of the style in a picture's colours: a new one for each picture, so it is not kept."""
        return self._painter.encode_style(with_palette(self.look(style), palette))

    def look(self, style: Style) -> NDArray[np.uint8]:
        """The style's pixels as they are encoded, uint8 (H, W, 3).

        Raises:
            UnusableObject: It is not an image.
        """
        if style.built_in:
            image = decode_image(style.file.data, Limits())
        else:
            image = read_object(self._images.read, style.file.data, style.label)
        pixels = fill_hidden(image.pixels, image.alpha)
        return resized(pixels, size_within((image.width_px, image.height_px), SIDE_PX))

    def _find(self, sha256: str) -> Floats | None:
        with self._lock:
            if sha256 in self._known:
                self._known.move_to_end(sha256)
            return self._known.get(sha256)

    def _told(self, sha256: str) -> Floats | None:
        """What another worker has put into the store."""
        data = None if self._memo is None else self._memo.get(_KIND, self._painter.digest, sha256)
        if data is None or len(data) != 4 * self._painter.style_size:
            return None
        vector = np.frombuffer(data, "<f4").astype(np.float32)
        return vector if np.isfinite(vector).all() else None


def read_object(read: Callable[[bytes], Read], data: bytes, label: str) -> Read:
    """What `read` makes of an object's bytes.

    Raises:
        UnusableObject: They are not an image; the message says which object, and what is wrong.
    """
    try:
        return read(data)
    except InvalidInput as error:
        raise UnusableObject(f"{label}: {error.message}") from error


def _gallery_file(name: str) -> FetchedObject:
    path: Path = BUILT_IN / "gallery" / f"{name}.jpg"
    return FetchedObject.of(path.read_bytes())
