"""Several steps as one operation."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from pipeline.core.chain import ChainParams, as_one, operations_in, parts_of
from pipeline.core.errors import InvalidParams, UnknownOperation, UnsupportedSteps
from pipeline.core.jobs import Step
from pipeline.core.params import merged_params
from pipeline.operations import Registry

REGISTRY = Registry()


def steps(*names: str, **params: object) -> list[Step]:
    return [Step(operation=name, params=params.get(name, {})) for name in names]


def test_one_step_stays_what_it_is() -> None:
    (step,) = steps("compress")
    operation, same = as_one(REGISTRY.get, [step])
    assert operation is REGISTRY.get("compress")
    assert same is step
    assert operations_in(operation) == (operation,)


def test_a_chain_takes_in_as_the_first_and_gives_out_as_the_last() -> None:
    """What it costs is the sum, what it needs is what all need, and params of each step are its own."""
    asked = steps("stylize", "compress", stylize={"styles": ["wave", "own/style.jpg"], "model": "fast"})
    chain, step = as_one(REGISTRY.get, asked)
    first, last = operations_in(chain)
    assert (chain.name, chain.output_extension) == ("stylize+compress", ".tri")
    assert chain.seconds_per_item_hint == first.seconds_per_item_hint + last.seconds_per_item_hint
    params = merged_params(chain, step.params)
    assert isinstance(params, ChainParams)
    assert [type(own) for own in params.steps] == [first.params, last.params]
    assert params.objects() == ("own/style.jpg",)
    assert chain.needs(params) == ("stylization_fast", "compression")
    assert [operation.name for operation, _ in parts_of(chain, params)] == ["stylize", "compress"]
    assert {"ratio", "steps"} <= set(chain.result.model_fields)
    described, _ = as_one(REGISTRY.get, steps("decompress", "describe"))
    assert (described.output_extension, described.gathers) == (None, "embedding")


def test_wrong_params_are_found_in_their_step() -> None:
    asked = steps("stylize", "compress", stylize={"styles": ["wave"]}, compress={"quality": 101})
    chain, step = as_one(REGISTRY.get, asked)
    with pytest.raises(ValidationError) as caught:
        chain.params.model_validate(step.params)
    assert [error["loc"] for error in caught.value.errors()] == [("steps", 1, "quality")]
    with pytest.raises(InvalidParams, match=r"stylize\+compress: steps.1.quality"):
        merged_params(chain, step.params)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("describe", "compress"), "no step can follow describe, which makes no picture"),
        (("compress", "search"), "search takes no picture, so it cannot follow compress"),
        (("stylize", "describe", "compress"), "no step can follow describe"),
    ],
)
def test_steps_that_do_not_fit(names: tuple[str, ...], words: str) -> None:
    with pytest.raises(UnsupportedSteps, match=words):
        as_one(REGISTRY.get, steps(*names))


def test_unknown_steps() -> None:
    with pytest.raises(UnknownOperation, match="'paint'"):
        as_one(REGISTRY.get, steps("compress", "paint"))
