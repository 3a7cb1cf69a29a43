"""Compilation of the inner loops; kept on disk where there is a place to write to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba

Loop = Callable[..., Any]


def compiled(loop: Loop) -> Loop:
    """The loop in machine code; it holds no lock that other threads would wait for.

    numba keeps what it compiled beside the module, or else in the user's cache (NUMBA_CACHE_DIR names another
    place). With no writable place at all, each process compiles for itself: some seconds at its start.
    """
    try:
        kept: Loop = numba.njit(nogil=True, cache=True)(loop)
    except RuntimeError:  # numba's "no locator available"
        kept = numba.njit(nogil=True)(loop)
    return kept
