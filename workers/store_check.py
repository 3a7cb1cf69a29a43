"""Whether the object store keeps the one promise that results depend on: a put that replaces nothing."""

from __future__ import annotations

import secrets
from contextlib import suppress

from pipeline.core.errors import ObjectExists, StorageUnavailable, StoreUnsuitable
from pipeline.core.keys import ARTIFACTS
from pipeline.core.logs import get_logger
from pipeline.core.storage import ObjectStore

log = get_logger(__name__)
_NOT_KNOWN = ("NotImplemented", "InvalidArgument")  # what S3 says to a header that it cannot follow


def require_conditional_put(store: ObjectStore) -> None:
    """Puts an object twice with `If-None-Match: *`; the second put must be refused.

    A store that is away now is not waited for: it is asked at the next start.

    Raises:
        StoreUnsuitable: The second put went through.
    """
    key = f"{ARTIFACTS}.probe/{secrets.token_hex(16)}"
    try:
        store.put(key, b"1", if_absent=True)
        try:
            store.put(key, b"2", if_absent=True)
        except ObjectExists:
            return
        finally:
            with suppress(StorageUnavailable):
                store.delete([key])
    except StorageUnavailable as error:
        if not any(code in error.message for code in _NOT_KNOWN):
            log.warning("store.unchecked", error=error.message)
            return
    raise StoreUnsuitable(
        "the object store ignores If-None-Match, or lacks it: a late worker could write over a result;"
        " Triptych needs a store that refuses a conditional put of a key that is taken"
    )
