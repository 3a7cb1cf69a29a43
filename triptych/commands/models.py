"""`triptych models import|verify|publish`: describing models that somebody has downloaded."""

from __future__ import annotations

import argparse
import importlib
import json
from pathlib import Path
from typing import Any

from triptych.cli import FAILED, OK, CommandError
from triptych.commands.store import PLACE, own_store

DESCRIPTION = (
    "Import describing models: BLIP, Florence-2, SmolVLM and Idefics3, from a checkpoint folder that you "
    "have downloaded. Nothing is fetched, and no code of the folder runs."
)


def main(arguments: list[str]) -> int:
    """Imports, verifies or publishes a model."""
    options = _parser().parse_args(arguments)
    try:
        from pipeline.core.errors import InvalidInput, TriptychError  # noqa: PLC0415 - pydantic and no more
    except ImportError as error:
        raise CommandError(f"`triptych models` needs pip install '.[core]' ({error})") from error
    try:
        exit_code: int = options.act(options)
    except TriptychError as error:
        raise CommandError(
            error.message, exit_code=2 if isinstance(error, InvalidInput) else FAILED
        ) from error
    return exit_code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="triptych models", description=DESCRIPTION)
    verbs = parser.add_subparsers(required=True, metavar="import|verify|publish")
    bring = verbs.add_parser("import", help="turn a checkpoint folder into an artifact, all of it or nothing")
    bring.add_argument(
        "folder", type=Path, metavar="DIR", help="config.json, *.safetensors, tokenizer.json ..."
    )
    bring.add_argument("--name", help="what jobs will call the model; by default, the folder's name")
    bring.add_argument("-o", "--output", type=Path, metavar="DIR", help="the artifact; by default ./NAME")
    bring.add_argument(
        "--language",
        action="append",
        metavar="CODE",
        help="what the model writes (repeatable); by default en",
    )
    bring.add_argument(
        "--longest-px",
        type=int,
        metavar="PX",
        help="SmolVLM, Idefics3: longer side of a picture before it is cut into tiles; less is faster",
    )
    bring.set_defaults(act=_import)
    verify = verbs.add_parser("verify", help="compare an artifact's tokens with the checkpoint's, in torch")
    verify.add_argument("artifact", type=Path, metavar="DIR", help="the artifact")
    verify.add_argument("--checkpoint", type=Path, metavar="DIR", required=True, help="what it was made from")
    verify.add_argument(
        "--picture",
        type=Path,
        action="append",
        metavar="FILE",
        help="(repeatable); by default, three built-in ones",
    )
    verify.add_argument(
        "--max-tokens", type=int, default=40, metavar="N", help="the longest text (default: 40)"
    )
    verify.set_defaults(act=_verify)
    publish = verbs.add_parser("publish", help="put an artifact into the object store", description=PLACE)
    publish.add_argument("artifact", type=Path, metavar="DIR", help="the artifact")
    publish.set_defaults(act=_publish)
    for verb in verbs.choices.values():
        verb.add_argument("--json", action="store_true", help="print JSON, for programs")
    return parser


def _import(options: argparse.Namespace) -> int:
    directory, digest = _export("importing").import_model(
        options.folder,
        options.output,
        name=options.name,
        languages=tuple(options.language or ("en",)),
        longest_px=options.longest_px,
    )
    if options.json:
        print(json.dumps({"directory": str(directory), "digest": digest}))
    else:
        print(f"{directory}  {digest[:12]}")
    return OK


def _verify(options: argparse.Namespace) -> int:
    if options.max_tokens < 1:
        raise CommandError("--max-tokens must be 1 or more")
    total = differing = 0
    for one in _export("verifying").verify(
        options.artifact, options.checkpoint, options.picture, most=options.max_tokens
    ):
        total, differing = total + 1, differing + (not one.equal)
        if options.json:
            shown = {"picture": one.picture, "preset": one.preset, "batch": one.batch, "equal": one.equal}
            print(json.dumps({**shown, "torch": one.torch, "found": one.found, "text": one.text}), flush=True)
        else:
            same = "equal" if one.equal else f"differs from token {one.first_difference} on"
            print(
                f"{one.preset:<8} picture {one.picture + 1} of {one.batch}  {same:<9}  {one.text}", flush=True
            )
    if not options.json:
        print(f"{total - differing} of {total} texts are equal, token for token")
    return FAILED if differing else OK


def _publish(options: argparse.Namespace) -> int:
    from pipeline.core.artifact import read_manifest  # noqa: PLC0415
    from pipeline.core.artifact_store import publish_artifact  # noqa: PLC0415

    if not options.artifact.is_dir():
        raise CommandError(f"{options.artifact} is not a folder")
    digest = publish_artifact(own_store("triptych models publish"), options.artifact)
    name = read_manifest(options.artifact, digest).name
    if options.json:
        print(json.dumps({"name": name, "digest": digest}))
    else:
        print(f"{name}  {digest[:12]}  triptych run describe --model {name} ...")
    return OK


def _export(module: str) -> Any:
    """A module of the exporter, by name: nothing else of the front door knows torch."""
    try:
        return importlib.import_module(f"export.imported.{module}")
    except ImportError as error:
        raise CommandError(
            f"`triptych models` takes models apart with torch, and {error.name} is not installed:"
            " pip install '.[export]'"
        ) from error
