"""What fetches have brought into a folder: theirs to replace, and no input of the next run."""

from __future__ import annotations

import json
from pathlib import Path

from triptych.names import REPORT, RESULTS

UNFINISHED = ".results.jsonl.part"
OURS = ".results.jsonl.names"  # of the files that a fetch under way has brought or will bring, a line each
OWN_REPORT = f"triptych-{REPORT}"  # where somebody's report lies already


def outputs_brought(directory: Path) -> set[tuple[str, str]]:
    """Which output (a key) each file holds, as earlier fetches have written down."""
    known: set[tuple[str, str]] = set()
    for name in (RESULTS, UNFINISHED):
        path = directory / name
        if path.is_file():
            with path.open(encoding="utf-8", newline="\n") as lines:
                known.update(pair for line in lines if (pair := _output_and_file(line)))
    return known


def files_brought(directory: Path) -> set[str]:
    """Files that earlier fetches have brought, or were about to: paths below the folder, with slashes."""
    found = {file for _, file in outputs_brought(directory)}
    if (directory / OURS).is_file():
        found.update((directory / OURS).read_text(encoding="utf-8").splitlines())
    there = {entry.name for entry in directory.iterdir()} if directory.is_dir() else set()
    if there & {RESULTS, OURS}:
        found |= {RESULTS, OWN_REPORT if OWN_REPORT in there else REPORT}
    return found


def _output_and_file(line: str) -> tuple[str, str] | None:
    try:
        row = json.loads(line)
        return (row["output"], row["file"]) if row["output"] and row["file"] else None
    except (ValueError, KeyError, TypeError):
        return None  # the last line of a broken fetch may be cut; the file may be somebody else's
