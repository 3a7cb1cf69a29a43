"""Reads deploy/: the Compose file with its variables filled in as Compose would, and Dockerfiles."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
# ${NAME}, ${NAME:-default}, ${NAME-default}, ${NAME:?message}, ${NAME?message}; $$ is a dollar.
VARIABLE = re.compile(r"\$\$|\$\{(?P<name>\w+)(?:(?P<how>:-|-|:\?|\?)(?P<rest>[^}]*))?\}")


class Unset(Exception):
    """A variable that must be set is not; the argument is its name."""


def interpolated(text: str, variables: Mapping[str, str]) -> str:
    """Fills in variables by the rules of the Compose Specification (interpolation.md).

    Raises:
        Unset: A required one has no value.
    """

    def value(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        found, how = variables.get(match["name"]), match["how"] or ""
        if found or (found is not None and not how.startswith(":")):
            return found
        if how.endswith("?"):
            raise Unset(match["name"])
        return match["rest"] if how.endswith("-") else ""

    return VARIABLE.sub(value, text)


def compose(variables: Mapping[str, str]) -> dict[str, Any]:
    """deploy/compose.yaml as Compose reads it: variables are filled in after YAML, value by value."""
    loaded: dict[str, Any] = _filled(yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8")), variables)
    return loaded


def _filled(node: Any, variables: Mapping[str, str]) -> Any:
    if isinstance(node, dict):
        return {key: _filled(value, variables) for key, value in node.items()}
    if isinstance(node, list):
        return [_filled(value, variables) for value in node]
    return interpolated(node, variables) if isinstance(node, str) else node


def fresh_variables() -> dict[str, str]:
    """The variables that make_env.py writes."""
    lines = [line for line in make_env().content().splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def make_env() -> ModuleType:
    """deploy/make_env.py as a module."""
    spec = importlib.util.spec_from_file_location("make_env", DEPLOY / "make_env.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def dockerfile(name: str) -> list[tuple[str, str]]:
    """(instruction, arguments) of a Dockerfile, continued lines joined."""
    text = re.sub(r"^\s*#.*\n", "", (DEPLOY / name).read_text(encoding="utf-8"), flags=re.MULTILINE)
    logical = re.sub(r"\s*\\\n\s*", " ", text).splitlines()
    return [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in logical if line.strip()]
