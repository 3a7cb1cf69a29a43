"""Objects that params name beside an item's input (styles, masks): fetched once a job, not once an item.

A job sees an object as it was when its worker first fetched it: one that is overwritten meanwhile does not
change halfway through a shard. Large ones are not kept; they are fetched for each item that wants them.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable

from pipeline.core.errors import InputTooLarge, ObjectNotFound, UnusableObject
from pipeline.core.jobs import JobSpec
from pipeline.core.operation import FetchedObject, Params
from pipeline.core.references import object_key
from pipeline.core.storage import ObjectStore
from workers.retry import patiently

KEPT_BYTES = 64 * 2**20
LARGEST_KEPT_BYTES = 16 * 2**20
Key = tuple[str, str]  # job id, object key


class Related:
    """The objects of this process's jobs. Threads share it.

    Args:
        store: Where they lie.
        max_bytes: Of all that one item names, together.
    """

    def __init__(self, store: ObjectStore, max_bytes: int) -> None:
        self._store, self._max_bytes = store, max_bytes
        self._kept: OrderedDict[Key, FetchedObject] = OrderedDict()
        self._kept_bytes = 0
        self._lock = threading.Lock()

    def fetch(
        self, spec: JobSpec, params: Params, *, give_up: Callable[[], bool] = lambda: False
    ) -> dict[str, FetchedObject]:
        """What the params name, by reference.

        Raises:
            InvalidInput, Forbidden: A reference is no key, or out of the job's reach.
            UnusableObject: There is no such object, or it is too large.
            StorageUnavailable: For longer than anybody waits.
        """
        found: dict[str, FetchedObject] = {}
        left = self._max_bytes
        for reference in dict.fromkeys(params.objects()):
            key = object_key(reference, spec.owner, spec.read_prefixes)
            known = self._find((spec.id, key))
            if known is None:
                known = self._fetched(spec.id, reference, key, left, give_up)
            left -= len(known.data)
            if left < 0:
                raise UnusableObject(f"what the params name has more than {self._max_bytes} bytes together")
            found[reference] = known
        return found

    def _find(self, key: Key) -> FetchedObject | None:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def _fetched(
        self, job_id: str, reference: str, key: str, max_bytes: int, give_up: Callable[[], bool]
    ) -> FetchedObject:
        try:
            data = patiently(lambda: self._store.get(key, max_bytes=max_bytes), give_up=give_up)
        except ObjectNotFound:
            raise UnusableObject(f"no object {reference!r}, which the params name") from None
        except InputTooLarge as error:
            raise UnusableObject(f"{reference!r}, which the params name: {error.message}") from None
        fetched = FetchedObject.of(data)
        if len(data) <= LARGEST_KEPT_BYTES:
            self._keep((job_id, key), fetched)
        return fetched

    def _keep(self, key: Key, fetched: FetchedObject) -> None:
        with self._lock:
            if key not in self._kept:
                self._kept[key] = fetched
                self._kept_bytes += len(fetched.data)
            while self._kept_bytes > KEPT_BYTES:
                _, oldest = self._kept.popitem(last=False)
                self._kept_bytes -= len(oldest.data)
