"""Compilation of the inner loops; kept on disk where there is a place to write to."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numba

Loop = TypeVar("Loop", bound=Callable[..., object])


def compiled(loop: Loop) -> Loop:
    """numba's version of a loop, which other threads may run beside; the docstring's sums stay as written.

    numba keeps what it compiled beside the module, or else in the user's cache (NUMBA_CACHE_DIR names another
    place). With no writable place at all, each process compiles for itself: some seconds at its start.
    """
    try:
        kept: Loop = numba.njit(nogil=True, cache=True)(loop)
    except RuntimeError:  # numba's "no locator available"
        kept = numba.njit(nogil=True)(loop)
    return kept
