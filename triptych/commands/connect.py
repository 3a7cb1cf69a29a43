"""Which server a command speaks to, and the flags that say so."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence

from triptych.cli import CommandError
from triptych.client import Client
from triptych.models import OperationInfo


def add_server(parser: argparse.ArgumentParser) -> None:
    """Adds `--url` and `--json`. The key has no flag: the process list would show it."""
    parser.add_argument("--url", help="the server; TRIPTYCH_URL if not given", default=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")


def named_url(options: argparse.Namespace) -> str | None:
    """The server that the user named, if any."""
    return getattr(options, "url", None) or os.environ.get("TRIPTYCH_URL") or None


def client_at(url: str) -> Client:
    return Client(url, os.environ.get("TRIPTYCH_API_KEY") or None)


def connect(options: argparse.Namespace) -> Client:
    """A client of the server that was named, or else of the one that `triptych up` runs.

    Raises:
        CommandError: Neither is there.
    """
    from triptych.stack.place import running_url  # noqa: PLC0415 - only where no server was named

    url = named_url(options) or running_url()
    if url is None:
        raise CommandError("no server: set TRIPTYCH_URL, or start one with `triptych up`")
    return client_at(url)


def peek_url(arguments: Sequence[str]) -> str | None:
    """The server named in arguments whose other flags are not known yet."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--url", default=argparse.SUPPRESS)
    options, _ = parser.parse_known_args(arguments)
    return named_url(options)


def own_operations() -> list[OperationInfo]:
    """What a server started from this installation can do, without starting one."""
    from pipeline.operations import Registry  # noqa: PLC0415 - only where no server can be asked

    extra = os.environ.get("TRIPTYCH_EXTRA_OPERATIONS", "").split(",")
    return [
        OperationInfo(
            name=operation.name,
            summary=operation.summary,
            params_schema=operation.params.model_json_schema(),
            result_schema=operation.result.model_json_schema(),
            takes_picture=operation.takes_picture,
            makes_picture=operation.makes_picture,
        )
        for operation in Registry(name.strip() for name in extra if name.strip())
    ]


def pick(operations: Sequence[OperationInfo], name: str) -> OperationInfo:
    """The operation of that name.

    Raises:
        CommandError: There is none.
    """
    for operation in operations:
        if operation.name == name:
            return operation
    raise CommandError(f"no operation {name!r}; there are {', '.join(each.name for each in operations)}")
