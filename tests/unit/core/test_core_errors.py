"""The error tree: stable codes, one sentence each, and the drawing is true."""

from __future__ import annotations

import re
from collections import Counter

import pytest

import pipeline.core.errors as tree
from pipeline.core.errors import Fault, InvalidInput, Transient, TriptychError, leaves

ALL = leaves()


def test_codes_are_unique() -> None:
    """A code names one class, and is the class's name in small letters or a shorter form of its own."""
    doubled = [code for code, count in Counter(error.code for error in ALL).items() if count > 1]
    assert doubled == ["internal_error"]  # the root and InternalError: what is not known better
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", error.code) for error in ALL)


def test_only_what_passes_is_retried() -> None:
    """Transient and below, nothing else."""
    assert {error for error in ALL if error.retryable} == {
        error for error in ALL if issubclass(error, Transient)
    }


def test_the_drawing_shows_every_class() -> None:
    """Whoever reads the top of the file has seen the whole tree."""
    drawn = set(re.findall(r"[A-Z][A-Za-z]+", (tree.__doc__ or "").partition("`code`")[0]))
    assert {error.__name__ for error in ALL} <= drawn


@pytest.mark.parametrize("error", ALL, ids=lambda error: error.__name__)
def test_every_error_has_a_sentence(error: type[TriptychError]) -> None:
    """Raised with a sentence it says that one; raised bare, its own."""
    assert error("what happened").message == "what happened"
    assert error().message.endswith(".")


def test_the_three_kinds_do_not_mix() -> None:
    """An error is the user's doing, passes, or is ours: never two of them."""
    for error in ALL:
        assert sum(issubclass(error, kind) for kind in (InvalidInput, Transient, Fault)) <= 1
