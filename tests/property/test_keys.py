"""Object keys: what is made can be read back, what a user names stays in the user's reach."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.errors import Forbidden, InvalidInput
from pipeline.core.keys import (
    MAX_KEY_BYTES,
    RESERVED,
    JobKeys,
    ResultName,
    UploadKeys,
    check_key,
    index_key,
    index_prefix,
    parse_index_key,
    parse_shard_results,
)
from pipeline.core.s3 import attachment

JOB = "job_0123456789abcdef0123456789abcdef"
counts = st.integers(0, 10**6)
tokens = st.from_regex(r"[0-9a-f]{1,30}", fullmatch=True)
indices = st.lists(st.integers(0, 10**7), max_size=6, unique=True).map(tuple)
entries = st.one_of(
    st.integers(0, 10**7).map(str),
    st.tuples(st.integers(0, 10**7), st.integers(0, 10**8)).map(lambda pair: f"{pair[0]}.{pair[1]}"),
)
names = st.builds(ResultName, tokens, counts, counts, counts, indices)
ANY = st.text(st.characters(), max_size=40)  # half characters, too
segments = st.lists(
    st.one_of(st.sampled_from(["..", ".", "", "a", "jobs", "owners", "ann"]), st.text(max_size=5)), max_size=6
)


@given(names)
def test_result_names_are_read_back(name: ResultName) -> None:
    """All that the ledger needs of a result stands in its name."""
    assert ResultName.parse(str(name)) == name


@given(entries, names)
def test_results_keys_are_read_back(entry: str, name: ResultName) -> None:
    """A listing gives back every entry and its result."""
    assert parse_shard_results(JobKeys(JOB).shard_results(entry, str(name))) == (entry, str(name))


@given(st.lists(st.floats(1, 9e9), min_size=2, max_size=6))
def test_jobs_are_listed_newest_first(times: list[float]) -> None:
    """Index keys sort by time, newest first, to the millisecond, and give the job's id back."""
    keys = [index_key("ann", created_at, JOB) for created_at in times]
    assert all(key.startswith(index_prefix("ann")) and parse_index_key(key) == JOB for key in keys)
    newest_first = sorted(times, key=lambda created_at: -int(created_at * 1000))
    assert [index_key("ann", created_at, JOB) for created_at in newest_first] == sorted(keys)


@given(st.lists(st.integers(0, 10**8 - 1), min_size=2, max_size=6))
def test_numbers_sort_as_keys(numbers: list[int]) -> None:
    """Shards, items and places in an upload are listed in the order of their numbers."""
    keys = JobKeys(JOB)
    for make in (
        lambda number: keys.manifest("p", number),
        lambda number: keys.output(number, 0, "d" * 64, ".tri"),
        lambda number: keys.shard_results(str(number), "t.1-0-0"),
        lambda number: keys.preview(number, "before"),
    ):
        assert [make(number) for number in sorted(numbers)] == sorted(make(number) for number in numbers)


@given(st.integers(0, 999_999), st.integers(0, 999_999))
def test_uploads_stay_in_their_owners_prefix(page: int, place: int) -> None:
    """Whatever is uploaded lies where its owner's key reaches."""
    keys = UploadKeys("ann", "upl_1")
    for key in (keys.page(page), keys.file(page, place)):
        assert check_key(key, ["owners/ann/"]) == key


@given(st.one_of(ANY, segments.map("/".join)), st.sampled_from([[""], ["owners/ann/"], ["a/", "jobs/"], []]))
def test_a_checked_key_is_plain_and_in_reach(key: str, prefixes: list[str]) -> None:
    """Any text at all is refused with one of two errors, or comes back plain, allowed, and stable."""
    try:
        checked = check_key(key, prefixes)
    except (InvalidInput, Forbidden):
        return
    assert checked == unicodedata.normalize("NFC", key) == check_key(checked, prefixes)
    assert any(checked.startswith(prefix) for prefix in prefixes)
    assert not f"{checked}/".startswith(RESERVED)
    assert not {"..", ".", ""} & set(checked.removesuffix("/").split("/"))
    assert 0 < len(checked.encode()) <= MAX_KEY_BYTES


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/",
        "/etc/passwd",
        "..",
        "../x",
        "owners/ann/../bob/x",
        "owners/ann/./x",
        "owners/ann//x",
        "owners/ann/..",
        "//x",
        "a\nb",
        "a\x00b",
        "a\x7fb",
        "\ud800",
        "x" * 1025,
        "ä" * 513,
    ],
)
def test_what_is_no_key(key: str) -> None:
    """Traversal in every form, control and half characters, emptiness and excess are InvalidInput."""
    with pytest.raises(InvalidInput):
        check_key(key, [""])


@pytest.mark.parametrize(
    "key", ["jobs", "jobs/", "jobs/x", "auth/x", "active/x", "artifacts/a/b", "index/ann/1"]
)
def test_our_own_prefixes_are_out_of_everybodys_reach(key: str) -> None:
    """Even a key that reaches everything does not reach Triptych's own prefixes."""
    with pytest.raises(Forbidden):
        check_key(key, ["", "jobs/"])


def test_reach() -> None:
    """A prefix reaches what begins with it, to the letter; look-alikes of reserved names are nobody's."""
    assert check_key("jobsite/x", [""]) == "jobsite/x"
    decomposed, composed = "owners/ann/e\u0301", "owners/ann/\u00e9"
    assert check_key(decomposed, ["owners/ann/"]) == check_key(composed, ["owners/ann/"]) == composed
    for key in ("owners/anna/x", "owners/ann", "Owners/ann/x"):
        with pytest.raises(Forbidden):
            check_key(key, ["owners/ann/"])


@given(ANY)
def test_a_file_name_cannot_break_a_header(filename: str) -> None:
    """Whatever a user calls a file, the header is one line of printable ASCII with one quoted name."""
    header = attachment(filename)
    assert header.isascii()
    assert header.isprintable()
    assert header.count('"') == 2
