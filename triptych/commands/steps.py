"""`--then OPERATION [--param VALUE ...]`: further steps, each on what the one before it made."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from triptych.cli import CommandError
from triptych.client import Client
from triptych.commands.connect import pick
from triptych.commands.params import add_params, given_params
from triptych.models import OperationInfo

THEN = "--then"
HELP = (
    f"{THEN} OPERATION [--param VALUE ...] at the end adds a step that takes the pictures of the one before."
)
Later = list[tuple[str, dict[str, Any]]]


def split_steps(arguments: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """The arguments of the first step, with the command's own, and those after each `--then`."""
    parts: list[list[str]] = [[]]
    for argument in arguments:
        if argument == THEN:
            parts.append([])
        elif argument.startswith(f"{THEN}="):
            parts.append([argument.removeprefix(f"{THEN}=")])
        else:
            parts[-1].append(argument)
    return parts[0], parts[1:]


def later_steps(
    command: str, first: str, parts: Sequence[Sequence[str]], operations: Sequence[OperationInfo]
) -> Later:
    """What each `--then` asks for: an operation and its params.

    Raises:
        CommandError: One names no operation, or none that can follow the one before.
    """
    steps = []
    before = pick(operations, first)
    for part in parts:
        if not part or part[0].startswith("-"):
            raise CommandError(f"{THEN} wants an operation: {THEN} OPERATION [--param VALUE ...]")
        operation = pick(operations, part[0])
        if not (before.makes_picture and operation.takes_picture):
            raise CommandError(f"{operation.name} cannot follow {before.name}")
        parser = argparse.ArgumentParser(
            prog=f"{command} ... {THEN} {operation.name}",
            description=operation.summary,
            epilog=f"Flags of the command itself (-o, --url, --json, ...) come before the first {THEN}.",
        )
        add_params(parser, operation)
        steps.append((operation.name, given_params(parser.parse_args(part[1:]))))
        before = operation
    return steps


def attached(client: Client, steps: Later) -> Later:
    """The steps with local files among their params uploaded."""
    return [(name, client.attach(params)) for name, params in steps]
