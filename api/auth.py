"""Who calls: API keys, looked up by their hash and remembered for a moment."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

from pipeline.core.auth import ApiKey, find_key, hash_key
from pipeline.core.errors import Forbidden, Unauthenticated
from pipeline.core.keys import RESERVED, check_key
from pipeline.core.storage import ObjectStore

KNOWN_S = 30.0  # how long a revoked key may still work
UNKNOWN_S = 2.0  # how long a key that was just made may still be refused
MAX_REMEMBERED = 4096


@dataclass(frozen=True)
class Caller:
    """Somebody with an API key, or the one user of a server that runs without keys.

    Attributes:
        read_prefixes: Where inputs may lie.
        write_prefixes: Where outputs may go.
    """

    owner: str
    read_prefixes: tuple[str, ...]
    write_prefixes: tuple[str, ...]

    def readable(self, key: str) -> str:
        """The normalised key of an input; raises InvalidInput or Forbidden."""
        return check_key(key, self.read_prefixes)

    def readable_prefix(self, prefix: str) -> str:
        """The same for a prefix, all of which must be in reach; raises InvalidInput or Forbidden."""
        normal = self.readable(prefix)
        for reserved in RESERVED:
            if reserved.startswith(normal):
                raise Forbidden(f"{prefix!r} reaches into {reserved!r}, which is Triptych's own")
        return normal

    def writable_prefix(self, prefix: str) -> str:
        """The prefix, ending with a slash, if outputs may go there; raises InvalidInput or Forbidden."""
        return check_key(prefix if prefix.endswith("/") else f"{prefix}/", self.write_prefixes)


LOCAL = Caller("local", ("owners/local/", ""), ("owners/local/", ""))


class KeyCache:
    """API keys by hash: what was found for KNOWN_S, what was not for UNKNOWN_S. Bounded.

    The two are kept apart, so that a flood of invented keys pushes no real one out.
    """

    def __init__(self, store: ObjectStore, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._known: OrderedDict[str, tuple[float, Caller]] = OrderedDict()
        self._unknown: OrderedDict[str, float] = OrderedDict()
        self._lock = Lock()

    def caller(self, key: str) -> Caller:
        """Whose key it is.

        Raises:
            Unauthenticated: No such key, or it was revoked.
            StorageUnavailable: It could not be looked up.
        """
        digest = hash_key(key)
        now = self._clock()
        with self._lock:
            found = self._known.get(digest)
            if found is not None and found[0] > now:
                return found[1]
            if self._unknown.get(digest, now) > now:
                raise Unauthenticated("this API key is not known")
        record = find_key(self._store, key)
        self._remember(digest, record)
        if record is None:
            raise Unauthenticated("this API key is not known")
        return _caller(record)

    def _remember(self, digest: str, record: ApiKey | None) -> None:
        now = self._clock()
        with self._lock:
            self._known.pop(digest, None)
            self._unknown.pop(digest, None)
            if record is None:
                self._unknown[digest] = now + UNKNOWN_S
            else:
                self._known[digest] = (now + KNOWN_S, _caller(record))
            for remembered in (self._known, self._unknown):
                while len(remembered) > MAX_REMEMBERED:
                    remembered.popitem(last=False)


def _caller(record: ApiKey) -> Caller:
    return Caller(record.owner, record.read_prefixes, record.write_prefixes)
