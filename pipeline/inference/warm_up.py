"""What a handler runs once, so that the first item is as fast as the second."""

from __future__ import annotations

import numpy as np

from pipeline.inference.tri_codec import TriCodec

_PICTURE_PX = 256


def warm_up_codec(codec: TriCodec) -> None:
    """Codes and decodes a small picture: loads kernels, fills allocator and coder."""
    ramp = np.arange(_PICTURE_PX, dtype=np.uint8)
    picture = np.stack(np.broadcast_arrays(ramp[:, None], ramp[None, :], np.uint8(128)), axis=2)
    codec.decode(codec.encode(np.ascontiguousarray(picture), quality=50))
