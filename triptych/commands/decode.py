"""`triptych decode FILE.tri -o FILE.png`: .tri files to pictures, here and now."""

from __future__ import annotations

from triptych.commands.in_place import Verb, run_in_place

FORMATS = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp", ".tif": "tiff", ".tiff": "tiff"}
VERB = Verb("decode", "decompress", ".png", FORMATS)


def main(arguments: list[str]) -> int:
    """Decodes files without server, store or broker."""
    return run_in_place(VERB, arguments)
