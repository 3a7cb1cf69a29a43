"""API keys: made, looked up, revoked. Only their sha256 is stored, as the name of an object under `auth/`.

A key is 256 random bits, so it needs no slow hash: nobody can try them all. Looking the hash up by name is
no timing leak worth the name: whoever measures how much of a hash matched would still have to find a key
that hashes so.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from collections.abc import Iterator

from pydantic import BaseModel, ConfigDict

from pipeline.core.errors import InvalidInput, NotFound, ObjectNotFound
from pipeline.core.keys import AUTH, auth_key, check_key, owner_prefix
from pipeline.core.storage import ObjectStore

KEY = re.compile(r"^trp_[A-Za-z0-9_-]{43}$", re.ASCII)
OWNER = re.compile(r"^[a-z0-9][a-z0-9_-]{0,62}$", re.ASCII)


class ApiKey(BaseModel):
    """What a key may do: `auth/<sha256>.json`.

    Attributes:
        read_prefixes: Where it may read inputs from; each ends with "/", or is "" for the whole bucket
            (Triptych's own prefixes excepted).
        write_prefixes: Where it may send outputs to; likewise.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    owner: str
    read_prefixes: tuple[str, ...]
    write_prefixes: tuple[str, ...]
    created_at: float
    note: str = ""
    revoked: bool = False


def hash_key(key: str) -> str:
    """sha256 hex of a key: its id."""
    return hashlib.sha256(key.encode()).hexdigest()


def create_key(
    store: ObjectStore,
    owner: str,
    *,
    read_prefixes: list[str] | None = None,
    write_prefixes: list[str] | None = None,
    note: str = "",
) -> tuple[str, ApiKey]:
    """Makes a key.

    Args:
        store: Where its hash goes.
        owner: Lower-case letters, digits, "-" and "_". Keys of one owner share jobs and uploads.
        read_prefixes: See `ApiKey`; the owner's own prefix when None.
        write_prefixes: Likewise.
        note: What it is for.

    Returns:
        The key, shown this once and never again, and what is stored of it.

    Raises:
        InvalidInput: The owner's name or a prefix cannot be used.
        Forbidden: A prefix is Triptych's own.
    """
    if not OWNER.fullmatch(owner):
        raise InvalidInput(f"not a name for an owner: {owner!r} (lower-case letters, digits, - and _)")
    own = [owner_prefix(owner)]
    key = f"trp_{secrets.token_urlsafe(32)}"
    record = ApiKey(
        owner=owner,
        read_prefixes=_checked(own if read_prefixes is None else read_prefixes),
        write_prefixes=_checked(own if write_prefixes is None else write_prefixes),
        created_at=time.time(),
        note=note,
    )
    store.put(
        auth_key(hash_key(key)),
        record.model_dump_json().encode(),
        content_type="application/json",
        if_absent=True,
    )
    return key, record


def _checked(prefixes: list[str]) -> tuple[str, ...]:
    for prefix in prefixes:
        # Without the slash, "owners/an" would reach owners/ann as well.
        if prefix and not check_key(prefix, [""]).endswith("/"):
            raise InvalidInput(f'a prefix ends with "/": {prefix!r}')
    return tuple(prefixes)


def find_key(store: ObjectStore, key: str) -> ApiKey | None:
    """What a key may do; None for what is no key, or a revoked one."""
    if not KEY.fullmatch(key):
        return None
    try:
        record = ApiKey.model_validate_json(store.get(auth_key(hash_key(key))))
    except ObjectNotFound:
        return None
    return None if record.revoked else record


def list_keys(store: ObjectStore) -> Iterator[tuple[str, ApiKey]]:
    """Every key's id with what it may do, revoked ones too."""
    for found in store.list(AUTH):
        key_id = found.key.removeprefix(AUTH).removesuffix(".json")
        yield key_id, ApiKey.model_validate_json(store.get(found.key))


def revoke_key(store: ObjectStore, key_id: str) -> ApiKey:
    """Ends a key. API processes notice within 30 s, the time for which they remember a key.

    Args:
        store: Where its hash lies.
        key_id: The id, or the beginning of it (8 digits at least).

    Raises:
        NotFound: No key, or more than one, has an id that begins so.
    """
    if not re.fullmatch(r"[0-9a-f]{8,64}", key_id):
        raise NotFound(f"not the id of a key, nor 8 digits of it: {key_id!r}")
    matches = list(store.list(f"{AUTH}{key_id}"))
    if len(matches) != 1:
        raise NotFound(f"{len(matches)} keys have an id that begins with {key_id!r}")
    record = ApiKey.model_validate_json(store.get(matches[0].key)).model_copy(update={"revoked": True})
    store.put(matches[0].key, record.model_dump_json().encode(), content_type="application/json")
    return record
