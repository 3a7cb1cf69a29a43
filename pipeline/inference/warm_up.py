"""What a handler runs once, so that the first item is as fast as the second."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.inference.painter import Brush, Painter
from pipeline.inference.tri_codec import TriCodec

_PICTURE_PX = 256


def warm_up_codec(codec: TriCodec) -> None:
    """Codes and decodes a small picture: loads kernels, fills allocator and coder."""
    codec.decode(codec.encode(_picture(), quality=50))


def warm_up_painter(painter: Painter) -> None:
    """Paints a small picture in its own style."""
    picture = _picture()
    painter.paint(painter.study(picture), [Brush(painter.encode_style(picture), 0.0, 1.0)])


def _picture() -> NDArray[np.uint8]:
    ramp = np.arange(_PICTURE_PX, dtype=np.uint8)
    planes = np.broadcast_arrays(ramp[:, None], ramp[None, :], np.uint8(128))
    return np.ascontiguousarray(np.stack(planes, axis=2))
