"""Output names: what any file system takes, never twice, always the same."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triptych.names import MAX_STEM_BYTES, Stems, file_name, safe_stem

names = st.text(min_size=1, max_size=40) | st.sampled_from(
    [
        "a",
        "A",
        "a-2",
        "a-2-2",
        "..",
        ".",
        " ",
        "con",
        "NUL.txt",
        "a/b",
        "a\\b",
        "caf\u00e9",
        "cafe\u0301",
        "x" * 400,
    ]
)


@given(st.lists(names, max_size=30))
def test_no_two_inputs_share_a_name(given_names: list[str]) -> None:
    """Even on file systems that fold case and normalise Unicode; and the same inputs get the same names."""
    stems = Stems()
    found = [stems.give(name) for name in given_names]
    folded = {unicodedata.normalize("NFD", stem).casefold() for stem in found}
    assert len(folded) == len(found)
    again = Stems()
    assert [again.give(name) for name in given_names] == found


@given(names)
def test_every_name_is_safe(name: str) -> None:
    """One path component, no control characters, nothing that Windows refuses, room for an extension."""
    stem = safe_stem(name)
    assert stem
    assert not set(stem) & set('<>:"/\\|?*')
    assert all(unicodedata.category(char) not in ("Cc", "Cs") for char in stem)
    assert stem.strip() == stem
    assert not stem.startswith(".")
    assert not stem.endswith(".")
    assert len(stem.encode()) <= MAX_STEM_BYTES + 1


def test_ten_thousand_equal_stems_are_quick() -> None:
    """Numbers go on from the last one given."""
    stems = Stems()
    found = [stems.give("folder/a.jpg") for _ in range(10_000)]
    assert found[-1] == "a-10000"
    assert len(set(found)) == 10_000


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("photos/a.b.jpg", "a.b"),
        ("new\nline.png", "new_line"),
        (".hidden", "_hidden"),
        ("aux.jpg", "_aux"),
        ("trailing. .jpg", "trailing"),
        ("\u56fe\u7247.png", "\u56fe\u7247"),
    ],
)
def test_how_names_come_out(name: str, stem: str) -> None:
    """As close to the input's own name as is safe."""
    assert safe_stem(name) == stem
    assert file_name(stem, ".tri") == f"{stem}.tri"
