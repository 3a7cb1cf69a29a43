"""Compiled loops start wherever the package lies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import pytest

from pipeline.codec.jit import compiled


def doubled(x: int) -> int:
    return 2 * x


def test_with_no_place_for_a_cache_each_process_compiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing can be written, numba refuses to cache; the loop is compiled all the same."""
    real = numba.njit

    def nowhere_to_write(*loops: Callable[..., Any], **options: bool) -> Any:
        if options == {"nogil": True, "cache": True}:
            raise RuntimeError("cannot cache function 'doubled': no locator available")
        return real(*loops, **options)

    monkeypatch.setattr(numba, "njit", nowhere_to_write)
    assert compiled(doubled)(21) == 42
