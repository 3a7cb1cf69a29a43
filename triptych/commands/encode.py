"""`triptych encode FILE.png -o FILE.tri`: pictures to .tri files, here and now."""

from __future__ import annotations

from triptych.commands.in_place import Verb, run_in_place

VERB = Verb("encode", "compress", ".tri", {".tri": None})


def main(arguments: list[str]) -> int:
    """Compresses files without server, store or broker."""
    return run_in_place(VERB, arguments)
