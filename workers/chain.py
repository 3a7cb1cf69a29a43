"""Runs the steps of a job one after the other on an item's bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from pipeline.core.chain import Chain, parts_of
from pipeline.core.errors import Fault, TriptychError
from pipeline.core.operation import Handler, ItemInput, ItemOutput, Result
from workers.retry import patiently


class ChainHandler:
    """A handler of several.

    Args:
        chain: What the steps are.
        handlers: One for each step, warm.
    """

    def __init__(self, chain: Chain, handlers: Sequence[Handler]) -> None:
        self._chain, self._handlers = chain, handlers

    def warm_up(self) -> None:
        """Nothing is cold."""

    def run(self, item: ItemInput) -> ItemOutput:
        """The last step's output, with all receipts, and the previews of all: the item's own "before".

        A step that may be tried again is, without those before it. An error says which step's it is.
        """
        told: list[dict[str, Any]] = []
        previews: dict[str, bytes] = {}
        before: dict[str, bytes] = {}
        for number, (handler, (operation, params)) in enumerate(
            zip(self._handlers, parts_of(self._chain, item.params), strict=True)
        ):
            try:
                output = patiently(partial(handler.run, replace(item, params=params)))
            except TriptychError as error:
                raise type(error)(f"step {number}, {operation.name}: {error.message}") from error
            told.append(output.receipt.model_dump(mode="json"))
            before = before or {role: shown for role, shown in output.previews.items() if role == "before"}
            previews = {**previews, **output.previews, **before}
            if number + 1 < len(self._handlers):
                if output.data is None:
                    raise Fault(f"step {number}, {operation.name}, gave the next one nothing")
                item = replace(item, data=output.data)
        return replace(output, receipt=self._receipt(told), previews=previews)

    def _receipt(self, told: Sequence[dict[str, Any]]) -> Result:
        return self._chain.result.model_validate({**told[-1], "steps": told[:-1]})
