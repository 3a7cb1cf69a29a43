"""Params of a step, validated by the operation's own type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from pipeline.core.errors import InvalidParams
from pipeline.core.operation import Operation, Params


def merged_params(
    operation: Operation, params: Mapping[str, Any], override: Mapping[str, Any] | None = None
) -> Params:
    """A step's params, with those of one item in their place, name by name.

    Raises:
        InvalidParams: A name is unknown or a value is out of range; the message names each.
    """
    try:
        return operation.params.model_validate({**params, **(override or {})})
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'params'}: {e['msg']}" for e in error.errors())
        raise InvalidParams(f"{operation.name}: {wrong}") from None
