"""`triptych up`: a whole Triptych on this machine, in the foreground."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from triptych.stack import running_stack
from triptych.stack.place import DEFAULT_DATA


def main(arguments: list[str]) -> int:
    """Starts everything, says where it is, and stops it in order on Ctrl-C."""
    parser = argparse.ArgumentParser(
        prog="triptych up",
        description="Start a whole Triptych on this machine: servers, API and workers, until Ctrl-C.",
    )
    parser.add_argument("--workers", type=int, metavar="N", help="worker processes; default: one a core")
    parser.add_argument("--port", type=int, metavar="P", help="of the API; default: 8000, or a free one")
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA, metavar="DIR", help="default: %(default)s")
    parser.add_argument("--json", action="store_true", help="print the address as JSON, for programs")
    options = parser.parse_args(arguments)

    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    with running_stack(options.data, workers=options.workers, port=options.port, say=say) as stack:
        if options.json:
            print(
                json.dumps({"url": stack.url, "data": str(stack.data), "logs": str(stack.logs)}), flush=True
            )
        else:
            print(f"Triptych is at {stack.url} (logs: {stack.logs}). Ctrl-C stops it.", flush=True)
        stack.wait()
        return 0
