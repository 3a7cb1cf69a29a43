"""Params of a step, validated by the operation's own type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from pipeline.core.chain import Chain
from pipeline.core.errors import InvalidParams
from pipeline.core.operation import Operation, Params


def overridden(
    operation: Operation, params: Mapping[str, Any], override: Mapping[str, Any] | None
) -> dict[str, Any]:
    """A step's params, with those of one item in their place, name by name; not validated yet.

    Of several steps an item has `{"steps": [{...}, {...}]}`: each replaces names of its own step.
    """
    if not override:
        return dict(params)
    given = override.get("steps")
    if not isinstance(operation, Chain) or not isinstance(given, list):
        return {**params, **override}
    steps = [*params["steps"]]
    steps += [{}] * (len(given) - len(steps))  # too many are found when all are validated
    for place, own in enumerate(given):
        steps[place] = {**steps[place], **own} if isinstance(own, Mapping) else own
    return {**params, **override, "steps": steps}


def merged_params(
    operation: Operation, params: Mapping[str, Any], override: Mapping[str, Any] | None = None
) -> Params:
    """A step's params, with those of one item in their place, name by name.

    Raises:
        InvalidParams: A name is unknown or a value is out of range; the message names each.
    """
    try:
        return operation.params.model_validate(overridden(operation, params, override))
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'params'}: {e['msg']}" for e in error.errors())
        raise InvalidParams(f"{operation.name}: {wrong}") from None
