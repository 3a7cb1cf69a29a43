"""`triptych run OPERATION INPUTS... -o DIR`: upload, run, fetch, in one go."""

from __future__ import annotations

import argparse
import contextlib
import json
import secrets
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from triptych.cli import HELP, CommandError
from triptych.client import Client
from triptych.commands.connect import add_server, client_at, own_operations, peek_url, pick
from triptych.commands.outcome import KEEP_FOLDERS, as_json, exit_code, follow, sentence
from triptych.commands.params import add_params, given_params
from triptych.commands.steps import HELP as THEN_HELP
from triptych.commands.steps import Later, attached, later_steps, split_steps
from triptych.fetching import Fetched
from triptych.local import LocalFile, find_inputs
from triptych.models import Job, OperationInfo
from triptych.progress import Progress
from triptych.transport import ApiError, Unreachable
from triptych.uploads import Upload

USAGE = "usage: triptych run OPERATION INPUTS... -o DIR [--param VALUE ...] [--then OPERATION ...]"


def main(arguments: list[str]) -> int:
    """Runs an operation over local files."""
    if not arguments or arguments[0] in HELP:
        print(_overview())
        return 0
    name, rest = arguments[0], arguments[1:]
    if name.startswith("-"):
        raise CommandError(f"the operation comes first. {USAGE}")
    first, more = split_steps(rest)
    url = peek_url(first)
    if url is None:
        operations = own_operations()
        then = later_steps("triptych run", name, more, operations)  # first: one of them may ask for help
        options = _parser(pick(operations, name)).parse_args(first)
        files = find_inputs(options.inputs, leave_out=options.output)
        with _own_server(options) as client:
            return _run(client, (name, then), options, files)
    with client_at(url) as client:
        operations = client.operations()
        then = later_steps("triptych run", name, more, operations)  # first: one of them may ask for help
        options = _parser(pick(operations, name)).parse_args(first)
        for one in (name, *(later for later, _ in then)):
            if not pick(operations, one).available:
                _say(f"no worker that knows {one} is alive at {url} now; the job waits for one")
        return _run(client, (name, then), options, find_inputs(options.inputs, leave_out=options.output))


def _overview() -> str:
    names = ", ".join(operation.name for operation in own_operations())
    return (
        f"{USAGE}\n\nOperations: {names} (`triptych run OPERATION --help` lists the params of one).\n"
        f"INPUTS are files, folders (with all that is in them) or patterns. {THEN_HELP}"
    )


def _parser(operation: OperationInfo) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"triptych run {operation.name}", description=operation.summary, epilog=THEN_HELP
    )
    parser.add_argument("inputs", nargs="+", metavar="INPUT", help="a file, a folder or a pattern")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="where results go")
    parser.add_argument("--keep-folders", action="store_true", help=KEEP_FOLDERS)
    parser.add_argument("--workers", type=int, metavar="N", help="without TRIPTYCH_URL; default: one a core")
    add_server(parser)
    add_params(parser, operation)
    return parser


@contextlib.contextmanager
def _own_server(options: argparse.Namespace) -> Iterator[Client]:
    from triptych.stack import temporary_stack  # noqa: PLC0415 - only where no server was named

    with temporary_stack(workers=options.workers, say=_say) as stack, client_at(stack.url) as client:
        yield client


def _run(
    client: Client, asked: tuple[str, Later], options: argparse.Namespace, files: Sequence[LocalFile]
) -> int:
    options.output.mkdir(parents=True, exist_ok=True)
    readable = [file for file in files if not file.error]
    if not readable:
        raise CommandError(f"none of the {len(files)} inputs can be read; {files[0].name}: {files[0].error}")
    with Progress("upload") as progress:
        upload = client.upload(readable, on_progress=progress.show)
    job, fetched = _job(client, asked, options, files, upload)
    if options.json:
        print(json.dumps(as_json(job, fetched)))
    else:
        print(f"{sentence(job)}\n{fetched.files} files and {fetched.results.name}: {fetched.directory}")
    return exit_code(job, failed=fetched.failed)


def _job(
    client: Client,
    asked: tuple[str, Later],
    options: argparse.Namespace,
    files: Sequence[LocalFile],
    upload: Upload,
) -> tuple[Job, Fetched]:
    """Submits, follows and fetches the job; a Ctrl-C cancels it first."""
    key = secrets.token_urlsafe(24)  # with it, asking twice gives the same job
    # Before: another upload would make it another request.
    ((name, params), *then) = attached(client, [(asked[0], given_params(options)), *asked[1]])

    def create() -> Job:
        return client.create_job(name, upload.inputs, params=params, then=then, idempotency_key=key)

    job_id = ""
    try:
        job_id = create().id
        job = follow(client, job_id, "+".join([name, *(later for later, _ in then)]))
    except KeyboardInterrupt:
        with contextlib.suppress(ApiError, Unreachable):
            client.cancel_job(job_id or create().id)
        raise
    try:
        with Progress("fetch") as progress:
            fetched = client.fetch(
                job_id,
                options.output,
                inputs=files,
                unsent=upload.unsent,
                keep_folders=options.keep_folders,
                on_progress=lambda done: progress.show(done, len(files)),
            )
    except Unreachable as error:
        raise Unreachable(f"{error}; `triptych fetch {job_id} -o {options.output}` goes on") from error
    return job, fetched


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
