"""Params of an operation as flags, made from its JSON schema: a new operation needs no change here."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from triptych.models import OperationInfo

DEST = "param:"
Schema = dict[str, Any]


def add_params(parser: argparse.ArgumentParser, operation: OperationInfo) -> None:
    """Gives a parser `--name VALUE` for each param, typed by its schema, and `-p NAME=VALUE` for all.

    What is true or false is `--name` and `--no-name`; of a list the parts stand between commas.
    """
    schema = operation.params_schema
    group = parser.add_argument_group(f"params of {operation.name}")
    for name, raw in schema.get("properties", {}).items():
        spec = _plain(raw, schema)
        flag = f"--{name.replace('_', '-')}"
        if flag in parser._option_string_actions:  # one of ours: -p reaches it
            continue
        form: dict[str, Any] = {"metavar": _metavar(spec), "type": _reader(spec)}
        if spec.get("type") == "boolean":
            form = {"action": argparse.BooleanOptionalAction}
        group.add_argument(
            flag,
            dest=f"{DEST}{name}",
            default=argparse.SUPPRESS,
            help=_help(spec, required=name in schema.get("required", ())),
            **form,
        )
    group.add_argument(
        "-p",
        dest="more_params",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        type=lambda text: _named(text, schema),
        help="any param, by its name",
    )


def given_params(options: argparse.Namespace) -> dict[str, Any]:
    """The params that were given, and no others: the server knows the defaults.

    Local files are paths, for the client's `attach`.
    """
    named = {key[len(DEST) :]: value for key, value in vars(options).items() if key.startswith(DEST)}
    return {**named, **dict(options.more_params)}


def _named(text: str, schema: Schema) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    known = schema.get("properties", {})
    if not equals:
        raise argparse.ArgumentTypeError(f"expected NAME=VALUE, not {text!r}")
    if name not in known and not schema.get("additionalProperties"):
        raise argparse.ArgumentTypeError(f"no param {name!r}; there are {', '.join(known) or 'none'}")
    return name, _reader(_plain(known.get(name, {}), schema))(value)


def _plain(spec: Schema, root: Schema) -> Schema:
    """A property's schema with its reference followed; of a choice with `null`, the other form."""
    if "$ref" in spec:
        target: Any = root
        for part in spec["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        return _plain({**target, **{key: value for key, value in spec.items() if key != "$ref"}}, root)
    forms = [form for form in spec.get("anyOf", ()) if form.get("type") != "null"]
    if len(forms) == 1:
        return _plain({**forms[0], **{key: value for key, value in spec.items() if key != "anyOf"}}, root)
    return spec


def _reader(spec: Schema) -> Callable[[str], Any]:
    """What turns a flag's text into the param's value, or says what is expected."""

    def read(text: str) -> Any:
        choices = spec.get("enum") or ([spec["const"]] if "const" in spec else [])
        for choice in choices:
            if text == str(choice):
                return choice
        if choices:
            raise argparse.ArgumentTypeError(f"{text!r} is not one of {', '.join(map(str, choices))}")
        try:
            value = _convert(spec, text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not {_article(spec)}") from None
        if not _within(spec, value):
            raise argparse.ArgumentTypeError(f"{text} is not {_article(spec)}")
        return value

    return read


def _convert(spec: Schema, text: str) -> Any:
    kind = spec.get("type")
    if spec.get("format") == "object":
        return _object(text)
    if kind == "array" and not text.lstrip().startswith("["):
        parts = text.split(",") if text else []
        return [_reader(_part(spec, place))(part.strip()) for place, part in enumerate(parts)]
    if kind == "string":
        return text
    if kind == "integer":
        return int(text)
    if kind == "number":
        return float(text)
    if kind == "boolean":
        if text.lower() not in ("true", "false"):
            raise ValueError(text)
        return text.lower() == "true"
    return json.loads(text)


def _object(text: str) -> str | Path:
    """A local file, which the client uploads; anything else is a name or a key, for the server to know.

    A bare word is never a file, so that a folder's contents cannot change what a name means; "./word" is one.
    """
    if ("." in text or os.sep in text) and os.path.isfile(text):
        return Path(text)
    if text.startswith(("./", "../", "/")):  # keys never do
        raise argparse.ArgumentTypeError(f"no file {text!r}")
    return text


def _part(spec: Schema, place: int) -> Schema:
    """The schema of a list's part: of a fixed list each has its own."""
    fixed: list[Schema] = spec.get("prefixItems", [])
    items = spec.get("items")
    return fixed[place] if place < len(fixed) else items if isinstance(items, dict) else {}


def _within(spec: Schema, value: Any) -> bool:
    if not isinstance(value, (int, float)):
        return True
    return bool(
        spec.get("minimum", value) <= value <= spec.get("maximum", value)
        and value > spec.get("exclusiveMinimum", float("-inf"))
        and value < spec.get("exclusiveMaximum", float("inf"))
    )


def _article(spec: Schema) -> str:
    kinds = {
        "integer": "a whole number",
        "number": "a number",
        "boolean": "true or false",
        "string": "a text",
    }
    bounds = _bounds(spec)
    return f"{kinds.get(str(spec.get('type')), 'valid JSON')}{f' {bounds}' if bounds else ''}"


def _bounds(spec: Schema) -> str:
    if "minimum" in spec and "maximum" in spec:
        return f"from {spec['minimum']} to {spec['maximum']}"
    signs = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    return " and ".join(f"{sign} {spec[key]}" for key, sign in signs.items() if key in spec)


def _metavar(spec: Schema) -> str:
    if "enum" in spec:
        return "{" + ",".join(map(str, spec["enum"])) + "}"
    if "prefixItems" in spec:
        return ",".join(map(_metavar, spec["prefixItems"]))
    if spec.get("format") == "object":
        return "FILE|KEY"
    if spec.get("type") == "array":
        return f"{_metavar(_part(spec, 0))},..."
    return {"integer": "N", "number": "X", "string": "TEXT", "boolean": "BOOL"}.get(
        str(spec.get("type")), "JSON"
    )


def _help(spec: Schema, *, required: bool) -> str:
    parts = [str(spec.get("description", "")), _bounds(spec)]
    if required:
        parts.append("required")
    elif spec.get("default") not in (None, []):
        parts.append(f"default {spec['default']}")
    return "; ".join(part for part in parts if part).replace("%", "%%")
