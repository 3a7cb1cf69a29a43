"""Several steps of a job as one operation, so that nothing else has to know how many there are.

    input -> step 0 -> picture -> step 1 -> ... -> output

Bytes go from step to step in the worker's memory; the last one's output is the item's. Its receipt is the
last step's, of what that step was given; only `bytes_in` is the item's. Those of the steps before it are
under `steps`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from pydantic import Field, create_model

from pipeline.core.errors import UnsupportedSteps
from pipeline.core.jobs import Step
from pipeline.core.operation import Operation, Params, Result

Asked = tuple[Operation, Step]  # what a job asks for, as one


class ChainParams(Params):
    """Params of each step."""

    steps: tuple[Params, ...]

    def objects(self) -> tuple[str, ...]:
        return tuple(reference for own in self.steps for reference in own.objects())


@dataclass(frozen=True)
class Chain(Operation):
    """The steps of a job, in order. Its handler is `workers.chain.ChainHandler`.

    Attributes:
        parts: Their operations.
    """

    parts: tuple[Operation, ...] = ()

    def needs(self, params: Params) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for part, own in parts_of(self, params) for name in part.needs(own)))


def as_one(find: Callable[[str], Operation], steps: Sequence[Step]) -> Asked:
    """A job's steps as one operation and its step: a single one as it is.

    Args:
        find: Operations by name.
        steps: One or more.

    Raises:
        UnknownOperation: No such operation.
        UnsupportedSteps: A step cannot take what the one before it makes.
    """
    parts = tuple(find(step.operation) for step in steps)
    if len(parts) == 1:
        return parts[0], steps[0]
    for number, (before, after) in enumerate(pairwise(parts), 1):
        if not before.makes_picture:
            raise UnsupportedSteps(
                f"steps.{number}: no step can follow {before.name}, which makes no picture"
            )
        if not after.takes_picture:
            raise UnsupportedSteps(
                f"steps.{number}: {after.name} takes no picture, so it cannot follow {before.name}"
            )
    name, last = "+".join(part.name for part in parts), parts[-1]
    chain = Chain(
        name=name,
        summary=" ".join(part.summary for part in parts),
        params=_params(name, parts),
        result=_result(name, last.result),
        handler="",
        output_extension=last.output_extension,
        seconds_per_item_hint=sum(part.seconds_per_item_hint for part in parts),
        native=any(part.native for part in parts),
        reads_input=parts[0].reads_input,
        gathers=last.gathers,
        parts=parts,
    )
    return chain, Step(operation=name, params={"steps": [step.params for step in steps]})


def operations_in(operation: Operation) -> tuple[Operation, ...]:
    """The operations of all steps; for most, itself."""
    return operation.parts if isinstance(operation, Chain) else (operation,)


def parts_of(operation: Operation, params: Params) -> list[tuple[Operation, Params]]:
    """The operations of all steps, each with its params."""
    own = params.steps if isinstance(params, ChainParams) else (params,)
    return [*zip(operations_in(operation), own, strict=True)]


def _params(name: str, parts: Sequence[Operation]) -> type[Params]:
    types: Any = tuple.__class_getitem__(tuple(part.params for part in parts))  # each step's own, by place
    return create_model(f"Params of {name}", __base__=ChainParams, steps=(types, ...))


def _result(name: str, last: type[Result]) -> type[Result]:
    steps = Field((), description="receipts of the steps before, in order")
    return create_model(f"Receipt of {name}", __base__=last, steps=(tuple[dict[str, Any], ...], steps))
