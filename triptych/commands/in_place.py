"""Operations on files in place: no server, no store, no broker; what a worker would do, in this process."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.core.errors import InputTooLarge, OutputExists, TriptychError
from pipeline.core.operation import Handler, ItemInput, ItemOutput, Limits, Params
from triptych.cli import OK, SOME_FAILED, CommandError
from triptych.commands.connect import own_operations, pick
from triptych.commands.params import add_params, given_params
from triptych.local import LocalFile, find_inputs
from triptych.names import Stems, file_name
from triptych.progress import size

Written = tuple[Path, ItemOutput]


@dataclass(frozen=True)
class Verb:
    """A command that runs an operation in place.

    Attributes:
        name: What the user types.
        operation: What is run.
        extension: Of outputs that do not say otherwise.
        formats: Extensions that a single output may have, with the `format` param that each stands for.
    """

    name: str
    operation: str
    extension: str
    formats: Mapping[str, str | None]


@dataclass(frozen=True)
class Task:
    """One file to turn into another: into `target`, or, in a folder, into `stem` and its own extension."""

    source: LocalFile
    target: Path
    stem: str | None = None


def run_in_place(verb: Verb, arguments: Sequence[str]) -> int:
    """Runs a verb over files and writes a line for each, in order. Needs the extra `cpu` or `gpu`."""
    options = _parser(verb).parse_args(arguments)
    tasks, given = _tasks(verb, options), given_params(options)
    wanted = None if tasks[0].stem else verb.formats[tasks[0].target.suffix.lower()]
    if wanted and given.setdefault("format", wanted) != wanted:
        raise CommandError(f"--format {given['format']}, and a file called {tasks[0].target.name}")
    handler, params, limits = _prepared(verb, given)

    def run(task: Task) -> Written:
        output = handler.run(ItemInput(_read(task.source, limits), task.source.name, params))
        return _write(verb, task, output, force=options.force), output

    failed = 0
    for task, outcome in _in_order(tasks, run):
        try:
            target, output = outcome.result()
        except (TriptychError, OSError) as error:
            failed += 1
            _say_failure(task, error, as_json=options.json)
        else:
            _say(task, target, output, as_json=options.json)
    return SOME_FAILED if failed else OK


def _parser(verb: Verb) -> argparse.ArgumentParser:
    operation = pick(own_operations(), verb.operation)
    parser = argparse.ArgumentParser(
        prog=f"triptych {verb.name}", description=f"{operation.summary} In this process, without a server."
    )
    parser.add_argument("inputs", nargs="+", metavar="INPUT", help="a file, a folder or a pattern")
    parser.add_argument(
        "-o", "--output", required=True, metavar="FILE|DIR", help="a file for one input, else a folder"
    )
    parser.add_argument("--force", action="store_true", help="overwrite files that are in the folder already")
    parser.add_argument("--json", action="store_true", help="print a line of JSON a file, for programs")
    add_params(parser, operation)
    return parser


def _tasks(verb: Verb, options: argparse.Namespace) -> list[Task]:
    output = Path(options.output)
    into_folder = output.is_dir() or options.output.endswith(os.sep)
    files = find_inputs(options.inputs, leave_out=output if into_folder else None)
    if into_folder or len(files) > 1 or os.path.isdir(options.inputs[0]):
        if output.exists() and not output.is_dir():
            raise CommandError(f"{output} is a file; {len(files)} inputs need a folder")
        stems = Stems()
        return [Task(file, output, stems.give(file.name)) for file in files]
    if output.suffix.lower() not in verb.formats:
        raise CommandError(f"{output.name} must be a folder, or end with {', '.join(verb.formats)}")
    return [Task(files[0], output)]


def _prepared(verb: Verb, given: dict[str, Any]) -> tuple[Handler, Params, Limits]:
    """The handler that a worker of this installation would have, and the params, checked."""
    try:
        from pipeline.core.settings import SettingsError, load_settings  # noqa: PLC0415 - heavy from here on
        from pipeline.inference.local import local_handler  # noqa: PLC0415

        try:
            settings = load_settings()
            handler, params = local_handler(verb.operation, given, settings)
        except (TriptychError, SettingsError) as error:
            raise CommandError(str(error)) from error
    except ImportError as error:
        raise CommandError(
            f"`triptych {verb.name}` runs the model here, and {error.name} is not installed:"
            " pip install '.[cpu]' in a clone of Triptych"
        ) from error
    return handler, params, settings.limits


def _read(source: LocalFile, limits: Limits) -> bytes:
    if source.error:
        raise OSError(source.error)
    if source.size_bytes > limits.max_bytes:
        raise InputTooLarge(f"the file has {source.size_bytes} bytes; at most {limits.max_bytes} are allowed")
    return source.path.read_bytes()


def _write(verb: Verb, task: Task, output: ItemOutput, *, force: bool) -> Path:
    """Writes an output whole or not at all, and never over its input."""
    data = output.data or b""
    target = task.target
    if task.stem is not None:
        target = target / file_name(task.stem, output.extension or verb.extension)
    elif output.extension and verb.formats[target.suffix.lower()] is None:
        target = target.with_suffix(output.extension)  # the original, which was better kept
    if target.exists() and target.samefile(task.source.path):
        raise OutputExists(f"{target} is the input itself")
    if task.stem is not None and target.exists() and not force:
        raise OutputExists(f"{target} is there already; --force overwrites")
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.part")
    try:
        part.write_bytes(data)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return target


def _in_order(
    tasks: Sequence[Task], run: Callable[[Task], Written]
) -> Iterator[tuple[Task, Future[Written]]]:
    """Runs as many at once as there are cores and gives them back in order; few are held at a time."""
    workers = min(len(tasks), os.cpu_count() or 1)
    ahead: deque[tuple[Task, Future[Written]]] = deque()
    pool = ThreadPoolExecutor(workers)
    try:
        for task in tasks:
            ahead.append((task, pool.submit(run, task)))
            if len(ahead) > workers:
                yield ahead.popleft()
        yield from ahead
    finally:
        pool.shutdown(cancel_futures=True)


def _say(task: Task, target: Path, output: ItemOutput, *, as_json: bool) -> None:
    receipt = output.receipt.model_dump(mode="json")
    if as_json:
        print(json.dumps({"input": task.source.name, "output": str(target), "receipt": receipt}), flush=True)
        return
    facts = [f"{receipt['width_px']} x {receipt['height_px']}"]
    facts.append(f"{size(receipt['bytes_in'])} to {size(receipt['bytes_out'])}")
    if receipt.get("kept_original"):
        facts.append("kept as it was")
    if receipt.get("psnr_db") is not None:
        facts.append(f"{receipt['psnr_db']:.2f} dB")
    print(f"{task.source.name} -> {target}  ({', '.join(facts)})", flush=True)


def _say_failure(task: Task, error: Exception, *, as_json: bool) -> None:
    code = error.code if isinstance(error, TriptychError) else "unreadable"
    message = error.message if isinstance(error, TriptychError) else str(error)
    if as_json:
        fields = {"input": task.source.name, "error": {"code": code, "message": message}}
        print(json.dumps(fields), flush=True)
    else:
        print(f"triptych: {task.source.name}: {message} ({code})", file=sys.stderr)
