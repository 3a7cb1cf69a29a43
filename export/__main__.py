"""Command line: `python -m export compression --checkpoint FILE --out DIR [--dev DIR]`.

`python -m export stylization --checkpoint FILE --out DIR [--name NAME] [--record FILE] [--weights FILE]`.
`python -m export gallery --out DIR`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from export.card import write_card
from export.compression import export_compression
from export.gallery import write_gallery
from export.stylization import export_stylization, publish_weights


def main(argv: list[str] | None = None) -> int:
    """Exports one model; prints the artifact's digest."""
    parser = argparse.ArgumentParser(
        prog="python -m export", description="Export a trained model as an artifact."
    )
    models = parser.add_subparsers(dest="model", required=True)
    compression = models.add_parser("compression", help="the image codec")
    compression.add_argument("--checkpoint", type=Path, required=True, help=".pt or .safetensors")
    compression.add_argument("--out", type=Path, required=True, help="the artifact's directory")
    compression.add_argument("--dev", type=Path, help="folder of photographs to measure on")
    stylization = models.add_parser("stylization", help="style transfer")
    stylization.add_argument("--checkpoint", type=Path, required=True, help=".pt or .safetensors")
    stylization.add_argument("--out", type=Path, required=True, help="the artifact's directory")
    stylization.add_argument("--name", default="stylization", help="the artifact's name")
    stylization.add_argument("--record", type=Path, help="the training's record.jsonl, for its last marks")
    stylization.add_argument("--weights", type=Path, help="also write the weights here, to train on from")
    gallery = models.add_parser("gallery", help="the built-in styles, painted by code")
    gallery.add_argument("--out", type=Path, required=True, help="the gallery's directory")
    given = parser.parse_args(argv)
    torch.set_num_threads(1)
    if given.model == "gallery":
        print(f"{len(write_gallery(given.out))} styles in {given.out}")
        return 0
    if given.model == "stylization":
        if given.weights:
            publish_weights(given.checkpoint, given.weights)
        print(export_stylization(given.checkpoint, given.out, name=given.name, record=given.record))
        return 0
    digest = export_compression(given.checkpoint, given.out, given.dev)
    write_card(given.out)
    print(digest)
    return 0


if __name__ == "__main__":
    sys.exit(main())
