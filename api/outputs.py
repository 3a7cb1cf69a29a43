"""Which object is an item's output, and under what name a client saves it."""

from __future__ import annotations

import posixpath
import re

from pipeline.core.errors import ObjectNotFound
from pipeline.core.results import JobResults


def output_of(results: JobResults, index: int) -> tuple[str, str]:
    """(key, custom_id) of an item's output.

    Raises:
        ObjectNotFound: It has none: no such item, not finished yet, failed, or all of it is in the receipt.
    """
    line = results.item(index)
    if line is None or line.get("output") is None:  # workers leave out what is null
        raise ObjectNotFound(f"item {index} has no output" if line else f"item {index} has no result (yet)")
    return str(line["output"]), str(line["custom_id"])


def attachment_name(custom_id: str, key: str) -> str:
    """A name to save an output under: the item's own stem with the output's extension."""
    stem = posixpath.splitext(posixpath.basename(custom_id.replace("\\", "/")))[0]
    plain = re.sub(r'[\x00-\x1f\x7f"/\\]', "_", stem).strip(" .")
    return (plain or "output")[:120] + posixpath.splitext(key)[1]
