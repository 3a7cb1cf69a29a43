"""Runs the steps of a job one after the other on an item's bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from pipeline.core.chain import Chain, parts_of
from pipeline.core.errors import Fault
from pipeline.core.operation import Handler, ItemInput, ItemOutput, Result


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
        """The last step's output, with all receipts; of previews "before" is the first step's."""
        steps = [*zip(self._handlers, parts_of(self._chain, item.params), strict=True)]
        outputs: list[ItemOutput] = []
        data = item.data
        for number, (handler, (operation, params)) in enumerate(steps, 1):
            output = handler.run(replace(item, data=data, params=params))
            outputs.append(output)
            if number < len(steps):
                if output.data is None:
                    raise Fault(f"{operation.name} gave the next step nothing")
                data = output.data
        return replace(outputs[-1], receipt=self._receipt(outputs), previews=_previews(outputs))

    def _receipt(self, outputs: Sequence[ItemOutput]) -> Result:
        told = [output.receipt.model_dump(mode="json") for output in outputs]
        return self._chain.result.model_validate({**told[-1], "steps": told[:-1]})


def _previews(outputs: Sequence[ItemOutput]) -> Mapping[str, bytes]:
    """What the report compares: the item as it came, and as it went."""
    first = {role: picture for role, picture in outputs[0].previews.items() if role == "before"}
    return {**outputs[-1].previews, **first}
