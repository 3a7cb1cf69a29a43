"""`triptych search TEXT --job ID`: items of a described job by words."""

from __future__ import annotations

import argparse
import json

from triptych.commands.connect import add_server, connect


def main(arguments: list[str]) -> int:
    """Prints the items that are nearest to a text, best first."""
    parser = argparse.ArgumentParser(
        prog="triptych search",
        description="Find items of a job that was described with --embedding, by words.",
    )
    parser.add_argument("text", metavar="TEXT", help='what to look for, e.g. "a dog on the beach"')
    parser.add_argument("--job", required=True, metavar="ID", help="the described job")
    parser.add_argument(
        "--limit", type=int, default=10, metavar="N", help="the best N; default 10, at most 100"
    )
    add_server(parser)
    options = parser.parse_args(arguments)
    with connect(options) as client:
        hits = client.search(options.job, options.text, limit=options.limit)
    if options.json:
        print(json.dumps([hit.model_dump() for hit in hits], ensure_ascii=False))
        return 0
    width = max((len(hit.custom_id) for hit in hits), default=0)
    for hit in hits:
        print(f"{hit.score:6.3f}  {hit.custom_id:<{width}}  {hit.text}".rstrip())
    return 0
