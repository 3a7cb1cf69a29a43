"""`triptych version`."""

from __future__ import annotations

import argparse
import json
import platform
from importlib.metadata import PackageNotFoundError, version


def main(arguments: list[str]) -> int:
    """Prints the version of the package, and of Python."""
    parser = argparse.ArgumentParser(prog="triptych version", description="Show the version.")
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")
    options = parser.parse_args(arguments)
    facts = {"triptych": _version(), "python": platform.python_version()}
    print(json.dumps(facts) if options.json else f"triptych {facts['triptych']} (Python {facts['python']})")
    return 0


def _version() -> str:
    try:
        return version("triptych")
    except PackageNotFoundError:
        return "0+source"  # run from a source tree that was never installed
