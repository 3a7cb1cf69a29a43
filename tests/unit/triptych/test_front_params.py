"""Flags from schemas: any operation's params, typed, without a line of code for it."""

from __future__ import annotations

import argparse
from enum import StrEnum
from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field

from pipeline.operations import ALL
from triptych import OperationInfo
from triptych.commands.params import add_params, given_params


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Nested(BaseModel):
    x: int


class Params(BaseModel):
    quality: int = Field(50, ge=1, le=100, description="100% is best")
    alpha: float = Field(0.5, gt=0, lt=1)
    jpeg_quality: int | None = None
    format: Literal["png", "webp"] = "png"
    colour: Colour = Colour.RED
    levels: Literal[1, 2] = 1
    fast: bool = False
    prompt: str
    styles: list[str] = []
    nested: Nested | None = None
    box: tuple[int, int, int] | None = None
    kinds: list[Literal["icc", "exif"]] = []
    output: str = ""


def parse(*arguments: str) -> dict[str, Any]:
    parser = argparse.ArgumentParser(exit_on_error=False)
    parser.add_argument("-o", "--output")
    add_params(parser, OperationInfo(name="paint", params_schema=Params.model_json_schema()))
    return given_params(parser.parse_args(arguments))


def test_values_have_the_types_of_the_schema() -> None:
    """Integers, numbers, choices, references to choices, true and false, texts, JSON for the rest."""
    given = parse(
        *(
            "--quality",
            "7",
            "--alpha",
            "0.25",
            "--jpeg-quality",
            "90",
            "--format",
            "webp",
            "--colour",
            "blue",
        ),
        *(
            "--levels",
            "2",
            "--fast",
            "--prompt",
            "a cat",
            "--styles",
            '["x", "y"]',
            "--nested",
            '{"x": 1}',
        ),
    )
    assert given == {
        "quality": 7,
        "alpha": 0.25,
        "jpeg_quality": 90,
        "format": "webp",
        "colour": "blue",
        "levels": 2,
        "fast": True,
        "prompt": "a cat",
        "styles": ["x", "y"],
        "nested": {"x": 1},
    }
    assert Params(**given).model_dump(mode="json", exclude={"output", "box", "kinds"}) == given


def test_lists_stand_between_commas() -> None:
    """Or as JSON; each part is read by its own type."""
    assert parse("--box", "1,2, 3", "--kinds", "icc,exif") == {"box": [1, 2, 3], "kinds": ["icc", "exif"]}
    assert parse("--box", "[1, 2, 3]", "-p", "kinds=exif") == {"box": [1, 2, 3], "kinds": ["exif"]}
    assert parse("--styles", "x,y", "-p", "kinds=") == {"styles": ["x", "y"], "kinds": []}


def test_true_and_false_are_flags() -> None:
    """`--fast`, `--no-fast`, or by name."""
    assert (parse("--fast"), parse("--no-fast")) == ({"fast": True}, {"fast": False})
    assert parse("-p", "fast=false") == {"fast": False}


def test_what_is_not_given_is_not_sent() -> None:
    """Defaults are the server's business."""
    assert parse() == {}


def test_a_param_with_a_name_of_ours_is_reached_by_p() -> None:
    """`-p` takes any param."""
    assert parse("-o", "dir", "-p", "output=x=y", "-p", "quality=9") == {"output": "x=y", "quality": 9}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--quality", "0"], "0 is not a whole number from 1 to 100"),
        (["--quality", "many"], "'many' is not a whole number"),
        (["--alpha", "1"], "is not a number > 0 and < 1"),
        (["--format", "gif"], "'gif' is not one of png, webp"),
        (["-p", "fast=maybe"], "is not true or false"),
        (["--box", "1,2,x"], "'x' is not a whole number"),
        (["--kinds", "icc,gps"], "'gps' is not one of icc, exif"),
        (["--styles", "[1"], "is not valid JSON"),
        (["-p", "nope=1"], "no param 'nope'; there are quality"),
        (["-p", "quality"], "expected NAME=VALUE"),
    ],
)
def test_wrong_values_are_refused_with_what_is_expected(arguments: list[str], message: str) -> None:
    """Before anything is uploaded."""
    with pytest.raises(argparse.ArgumentError, match=message):
        parse(*arguments)


@pytest.mark.parametrize("operation", ALL, ids=lambda operation: operation.name)
def test_every_operation_of_ours_can_be_asked_for_by_flags(operation: Any) -> None:
    """Each param has a flag and a line of help."""
    parser = argparse.ArgumentParser()
    schema = operation.params.model_json_schema()
    add_params(parser, OperationInfo(name=operation.name, params_schema=schema))
    help_text = parser.format_help()
    for name in operation.params.model_fields:
        assert f"--{name.replace('_', '-')}" in help_text
