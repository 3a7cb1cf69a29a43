"""Memory of large pictures goes back to the system when they are done."""

from __future__ import annotations

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h of glibc
_LARGE_BYTES = 12 * 2**20  # below Pillow's blocks of 16 MiB, above the feature maps of a small photo
_KEPT_BYTES = 32 * 2**20


def return_large_blocks() -> None:
    """Gives every block of 12 MiB or more pages of its own, for the rest of the process.

    glibc's malloc raises that threshold by itself after the first large block. Then what Pillow takes in
    blocks of 16 MiB comes from a thread's heap and stays there: 0.3 GB after a picture of 100 megapixels.
    With a threshold that is fixed, the free end of a heap goes back as soon as it is 128 KiB, and small
    photos spend their time on page faults; so that is fixed as well. Other systems have neither switch.
    """
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
            mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
