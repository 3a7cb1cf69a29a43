"""`triptych keys create|list|revoke`: API keys. It speaks to the object store, not to the API."""

from __future__ import annotations

import argparse
import json
import time
from typing import TYPE_CHECKING, Any

from triptych.cli import FAILED, CommandError
from triptych.commands.store import PLACE, own_store

if TYPE_CHECKING:
    from pipeline.core.s3 import S3ObjectStore

DESCRIPTION = (
    f"Make, list and revoke API keys. {PLACE} A server asks for keys when it is started with "
    "TRIPTYCH_AUTH=true."
)


def main(arguments: list[str]) -> int:
    """Makes, lists or revokes keys."""
    options = _parser().parse_args(arguments)
    store = own_store("triptych keys")
    from pipeline.core.errors import InvalidInput, TriptychError  # noqa: PLC0415 - after the extra was checked

    try:
        answer = options.act(store, options)
    except TriptychError as error:
        usage = isinstance(error, InvalidInput) or not error.retryable
        raise CommandError(error.message, exit_code=2 if usage else FAILED) from error
    if options.json:
        print(json.dumps(answer))
    else:
        for row in answer if isinstance(answer, list) else [answer]:
            print(_shown(row))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="triptych keys", description=DESCRIPTION)
    verbs = parser.add_subparsers(required=True, metavar="create|list|revoke")
    create = verbs.add_parser("create", help="make a key and print it, this once")
    create.add_argument(
        "owner", help="lower-case letters, digits, - and _; one owner's keys share their jobs"
    )
    create.add_argument(
        "--read", action="append", metavar="PREFIX/", help='readable inputs; "" is the bucket'
    )
    create.add_argument("--write", action="append", metavar="PREFIX/", help="places for outputs")
    create.add_argument("--note", default="", help="what it is for")
    create.set_defaults(act=_create)
    verbs.add_parser("list", help="show ids, owners and prefixes").set_defaults(act=_list)
    revoke = verbs.add_parser("revoke", help="end a key; servers notice within 30 s")
    revoke.add_argument("id", help="as `list` shows it")
    revoke.set_defaults(act=_revoke)
    for verb in verbs.choices.values():
        verb.add_argument("--json", action="store_true", help="print JSON, for programs")
    return parser


def _create(store: S3ObjectStore, options: argparse.Namespace) -> dict[str, Any]:
    from pipeline.core.auth import create_key, hash_key  # noqa: PLC0415

    key, record = create_key(
        store, options.owner, read_prefixes=options.read, write_prefixes=options.write, note=options.note
    )
    return {"key": key, "id": hash_key(key), **record.model_dump(mode="json")}


def _list(store: S3ObjectStore, options: argparse.Namespace) -> list[dict[str, Any]]:  # noqa: ARG001
    from pipeline.core.auth import list_keys  # noqa: PLC0415

    return [{"id": key_id, **record.model_dump(mode="json")} for key_id, record in list_keys(store)]


def _revoke(store: S3ObjectStore, options: argparse.Namespace) -> dict[str, Any]:
    from pipeline.core.auth import revoke_key  # noqa: PLC0415

    return {"id": options.id, **revoke_key(store, options.id).model_dump(mode="json")}


def _shown(row: dict[str, Any]) -> str:
    made = time.strftime("%Y-%m-%d", time.localtime(row["created_at"]))
    reach = f"reads {_prefixes(row['read_prefixes'])}, writes {_prefixes(row['write_prefixes'])}"
    parts = [row.get("key", ""), row["id"][:16], row["owner"], made, reach, row["note"]]
    return "  ".join([part for part in parts if part] + (["revoked"] if row["revoked"] else []))


def _prefixes(prefixes: list[str]) -> str:
    return " ".join(prefix or "the whole bucket" for prefix in prefixes) or "nothing"
