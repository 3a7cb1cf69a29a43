"""The registry: every operation that this installation knows, in one tuple.

A new job type is one file here, one in `pipeline/inference/`, one line in ALL. Operations of your own
package come in through the setting TRIPTYCH_EXTRA_OPERATIONS, a list of modules that have an ALL too.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator

from pipeline.core.errors import UnknownOperation
from pipeline.core.operation import Operation
from pipeline.operations import compress, decompress, describe, search, stylize

ALL: tuple[Operation, ...] = (
    compress.OPERATION,
    decompress.OPERATION,
    stylize.OPERATION,
    describe.OPERATION,
    search.OPERATION,
)


class Registry:
    """Operations by name."""

    def __init__(self, extra_modules: Iterable[str] = ()) -> None:
        known = [*ALL]
        for module in extra_modules:
            known.extend(importlib.import_module(module).ALL)
        self._by_name = {operation.name: operation for operation in known}

    def __iter__(self) -> Iterator[Operation]:
        return iter(self._by_name.values())

    def names(self) -> list[str]:
        return list(self._by_name)

    def get(self, name: str) -> Operation:
        """The operation of that name.

        Raises:
            UnknownOperation: There is none.
        """
        try:
            return self._by_name[name]
        except KeyError:
            raise UnknownOperation(f"no operation {name!r}; known: {', '.join(self._by_name)}") from None
