"""`triptych operations [NAME]`: what the server can do."""

from __future__ import annotations

import argparse
import json

from triptych.commands.connect import add_server, connect, pick
from triptych.commands.params import add_params
from triptych.models import ModelTerms


def main(arguments: list[str]) -> int:
    """Lists operations, or shows the params of one."""
    parser = argparse.ArgumentParser(prog="triptych operations", description="Show what the server can do.")
    parser.add_argument("name", nargs="?", metavar="OPERATION")
    add_server(parser)
    options = parser.parse_args(arguments)
    with connect(options) as client:
        operations = client.operations()
    if options.name:
        operations = [pick(operations, options.name)]
    if options.json:
        print(json.dumps([operation.model_dump() for operation in operations]))
        return 0
    width = max((len(operation.name) for operation in operations), default=0)
    for operation in operations:
        asleep = "" if operation.available else "  (no worker for it is alive)"
        print(f"{operation.name:<{width}}  {operation.summary}{asleep}")
    if options.name:
        params = argparse.ArgumentParser(usage=argparse.SUPPRESS, add_help=False)
        add_params(params, operations[0])
        print(params.format_help().rstrip())
        for name, terms in operations[0].terms.items():
            print(_terms(name, terms))
    return 0


def _terms(name: str, terms: ModelTerms) -> str:
    """What a user must know before shipping what a model made."""
    lines = [f"\nmodel {name}: {terms.licence}", terms.note]
    lines += [f"  data: {one}" for one in terms.data_sets]
    lines += [f"  attribution: {one}" for one in terms.attributions]
    return "\n".join(line for line in lines if line)
