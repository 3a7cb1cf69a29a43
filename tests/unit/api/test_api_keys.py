from __future__ import annotations

import pytest

from api.auth import KNOWN_S, MAX_REMEMBERED, UNKNOWN_S, KeyCache
from pipeline.core.auth import KEY, create_key, find_key, hash_key, list_keys, revoke_key
from pipeline.core.errors import Forbidden, InvalidInput, NotFound, Unauthenticated
from pipeline.core.memory import MemoryObjectStore


class Clock:
    """A clock that goes when it is told to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def memory() -> MemoryObjectStore:
    return MemoryObjectStore()


def test_a_key_is_stored_hashed(memory: MemoryObjectStore) -> None:
    """What is stored says what a key may do, and not the key."""
    key, record = create_key(memory, "ann", note="laptop")
    assert KEY.fullmatch(key)
    [found] = memory.list("auth/")
    assert found.key == f"auth/{hash_key(key)}.json"
    assert key.encode() not in memory.get(found.key)
    assert find_key(memory, key) == record
    assert record.read_prefixes == record.write_prefixes == ("owners/ann/",)


def test_keys_differ(memory: MemoryObjectStore) -> None:
    """Two keys are two keys, of one owner too."""
    assert create_key(memory, "ann")[0] != create_key(memory, "ann")[0]
    assert len(list(list_keys(memory))) == 2


@pytest.mark.parametrize("owner", ["", "Ann", "ann/bob", "..", "a b", "-a", "a" * 64, "ann\n", "ä"])
def test_owners_are_parts_of_keys(memory: MemoryObjectStore, owner: str) -> None:
    """An owner's name becomes a part of keys, so it is plain."""
    with pytest.raises(InvalidInput):
        create_key(memory, owner)


@pytest.mark.parametrize(
    ("prefix", "error"),
    [
        ("owners/ann", InvalidInput),
        ("../x/", InvalidInput),
        ("/x/", InvalidInput),
        ("jobs/", Forbidden),
        ("auth/x/", Forbidden),
    ],
)
def test_prefixes_are_checked(memory: MemoryObjectStore, prefix: str, error: type[Exception]) -> None:
    """A prefix ends with a slash, is plain, and is none of Triptych's own."""
    with pytest.raises(error):
        create_key(memory, "ann", read_prefixes=[prefix])
    with pytest.raises(error):
        create_key(memory, "ann", write_prefixes=[prefix])
    assert not list(memory.list(""))


def test_revoking(memory: MemoryObjectStore) -> None:
    """A revoked key is no key, and is still listed; others go on."""
    key, _ = create_key(memory, "ann")
    other, _ = create_key(memory, "ann")
    revoke_key(memory, hash_key(key)[:16])
    assert find_key(memory, key) is None
    assert find_key(memory, other) is not None
    assert {key_id: record.revoked for key_id, record in list_keys(memory)} == {
        hash_key(key): True,
        hash_key(other): False,
    }


@pytest.mark.parametrize("key_id", ["", "1234567", "0" * 64, "../../../x", "zzzzzzzz"])
def test_revoking_what_is_not_there(memory: MemoryObjectStore, key_id: str) -> None:
    """An id that names no key, or perhaps several, revokes nothing."""
    key, _ = create_key(memory, "ann")
    with pytest.raises(NotFound):
        revoke_key(memory, key_id)
    assert find_key(memory, key) is not None


@pytest.mark.parametrize(
    "given", ["", "trp_", "trp_" + "A" * 42, "trp_" + "A" * 44, "../jobs/x", "trp_" + "é" * 43]
)
def test_what_is_no_key_is_not_looked_up(memory: MemoryObjectStore, given: str) -> None:
    """Only what has a key's form is looked up."""
    assert find_key(memory, given) is None


def test_known_keys_are_remembered_for_a_while(memory: MemoryObjectStore) -> None:
    """A revoked key works until it is looked up again, KNOWN_S at most."""
    clock = Clock()
    cache = KeyCache(memory, clock)
    key, _ = create_key(memory, "ann")
    assert cache.caller(key).owner == "ann"
    revoke_key(memory, hash_key(key))
    clock.now = KNOWN_S - 0.1
    assert cache.caller(key).owner == "ann"
    clock.now = KNOWN_S + 0.1
    with pytest.raises(Unauthenticated):
        cache.caller(key)


def test_unknown_keys_are_remembered_for_a_moment(memory: MemoryObjectStore) -> None:
    """A key that is stored just now works UNKNOWN_S later at most."""
    clock = Clock()
    cache = KeyCache(memory, clock)
    elsewhere = MemoryObjectStore()
    key, record = create_key(elsewhere, "ann")
    with pytest.raises(Unauthenticated):
        cache.caller(key)
    memory.put(f"auth/{hash_key(key)}.json", record.model_dump_json().encode())
    with pytest.raises(Unauthenticated):
        cache.caller(key)
    clock.now = UNKNOWN_S + 0.1
    assert cache.caller(key).owner == "ann"


def test_what_is_remembered_is_bounded(memory: MemoryObjectStore) -> None:
    """Invented keys fill no memory, and push no real key out."""
    cache = KeyCache(memory, Clock())
    key, _ = create_key(memory, "ann")
    cache.caller(key)
    for number in range(MAX_REMEMBERED + 100):
        with pytest.raises(Unauthenticated):
            cache.caller(f"trp_{number:043d}")
    assert len(cache._unknown) == MAX_REMEMBERED
    memory.delete([f"auth/{hash_key(key)}.json"])
    assert cache.caller(key).owner == "ann"
