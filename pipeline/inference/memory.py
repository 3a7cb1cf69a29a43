"""Memory of large pictures goes back to the system when they are done."""

from __future__ import annotations

import ctypes
import sys

_M_MMAP_THRESHOLD = -3  # malloc.h of glibc
_THRESHOLD_BYTES = 4 * 2**20


def return_large_blocks() -> None:
    """Gives every block of 4 MiB or more pages of its own, for the rest of the process.

    glibc's malloc raises that threshold by itself after the first large block. Then what Pillow takes in
    blocks of 16 MiB comes from a thread's heap and stays there: 0.3 GB after a picture of 100 megapixels.
    Other systems have no such switch, nor that habit.
    """
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            mallopt(_M_MMAP_THRESHOLD, _THRESHOLD_BYTES)
