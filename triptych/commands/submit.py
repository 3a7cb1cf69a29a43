"""`triptych submit OPERATION ...`: start a job and print its id."""

from __future__ import annotations

import argparse
import json
import sys
from datetime import datetime
from pathlib import Path

from pipeline.core.jobs import Inputs, KeysInput, ManifestInput, PrefixInput
from triptych.cli import HELP, CommandError
from triptych.client import Client
from triptych.commands.connect import add_server, connect, peek_url, pick
from triptych.commands.params import add_params, given_params
from triptych.commands.steps import HELP as THEN_HELP
from triptych.commands.steps import later_steps, split_steps
from triptych.local import find_inputs
from triptych.models import OperationInfo
from triptych.progress import Progress

USAGE = (
    "usage: triptych submit OPERATION INPUTS... | --from-prefix P | --from-keys K... | --from-manifest K\n"
    "                       [--output-prefix P] [--name TEXT] [--interactive] [--device auto|cpu|cuda]\n"
    "                       [--priority N] [--paused] [--expires-at TIME] [--idempotency-key KEY]\n"
    "                       [--param VALUE ...] [--then OPERATION ...]\n\n"
    "`triptych operations` lists the operations, `triptych submit OPERATION --help` the params of one."
)


def main(arguments: list[str]) -> int:
    """Starts a job."""
    if not arguments or arguments[0] in HELP:
        print(USAGE)
        return 0
    name, rest = arguments[0], arguments[1:]
    if name.startswith("-"):
        raise CommandError("the operation comes first: triptych submit OPERATION ...")
    first, more = split_steps(rest)
    url = peek_url(first)
    with connect(argparse.Namespace(url=url)) as client:
        operations = client.operations()
        then = later_steps("triptych submit", name, more, operations)
        options = _parser(pick(operations, name)).parse_args(first)
        job = client.create_job(
            name,
            _inputs(client, options),
            params=given_params(options),
            then=then,
            idempotency_key=options.idempotency_key,
            name=options.name,
            interactive=options.interactive,
            device=options.device,
            priority=options.priority,
            paused=options.paused,
            expires_at=options.expires_at,
            output_prefix=options.output_prefix,
        )
    print(json.dumps(job.model_dump(mode="json")) if options.json else job.id)
    return 0


def _parser(operation: OperationInfo) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"triptych submit {operation.name}", description=operation.summary, epilog=THEN_HELP
    )
    parser.add_argument("inputs", nargs="*", metavar="INPUT", help="local files, folders or patterns")
    parser.add_argument("--from-prefix", metavar="PREFIX", help="every object under a prefix of the bucket")
    parser.add_argument("--from-keys", nargs="+", metavar="KEY", help="objects of the bucket")
    parser.add_argument(
        "--from-manifest", metavar="KEY", help="a JSONL object: custom_id, input, params a line"
    )
    parser.add_argument("--output-prefix", metavar="PREFIX", help="where outputs go in the bucket")
    parser.add_argument("--name", default="", help="for people")
    parser.add_argument("--interactive", action="store_true", help="before bulk work; 8 items at most")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("--priority", type=int, default=0, metavar="N", help="-100 to 100")
    parser.add_argument("--paused", action="store_true", help="start nothing yet")
    parser.add_argument("--expires-at", type=_time, metavar="TIME", help="cancel it then (ISO 8601)")
    parser.add_argument("--idempotency-key", metavar="KEY", help="the same key: the same job")
    add_server(parser)
    add_params(parser, operation)
    return parser


def _inputs(client: Client, options: argparse.Namespace) -> Inputs:
    forms = (options.inputs, options.from_prefix, options.from_keys, options.from_manifest)
    if sum(bool(form) for form in forms) != 1:
        raise CommandError("name local inputs, or one of --from-prefix, --from-keys, --from-manifest")
    if options.from_prefix:
        return PrefixInput(prefix=options.from_prefix)
    if options.from_keys:
        return KeysInput(keys=options.from_keys)
    if options.from_manifest:
        return ManifestInput(key=options.from_manifest)
    files = find_inputs(options.inputs)
    unreadable = [file for file in files if file.error]
    if unreadable:
        raise CommandError(f"cannot read {unreadable[0].name}: {unreadable[0].error}")
    with Progress("upload") as progress:
        upload = client.upload(files, on_progress=progress.show)
    for place, why in upload.unsent.items():
        print(f"triptych: {Path(files[place].name)}: {why}; its item will fail", file=sys.stderr)
    return upload.inputs


def _time(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text).astimezone()
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no time such as 2030-01-31T18:00") from None
