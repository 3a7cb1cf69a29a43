"""Command line: `python -m export compression --checkpoint FILE --out DIR --photos DIR [--dev DIR]`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from export.card import write_card
from export.compression import export_compression
from pipeline.training.photos import load_photos

CALIBRATION_PHOTOS = 80


def main(argv: list[str] | None = None) -> int:
    """Exports one model; prints the artifact's digest."""
    parser = argparse.ArgumentParser(
        prog="python -m export", description="Export a trained model as an artifact."
    )
    models = parser.add_subparsers(dest="model", required=True)
    compression = models.add_parser("compression", help="the image codec")
    compression.add_argument("--checkpoint", type=Path, required=True, help=".pt or .safetensors")
    compression.add_argument("--out", type=Path, required=True, help="the artifact's directory")
    compression.add_argument(
        "--photos", type=Path, action="append", required=True, help="training photographs (repeatable)"
    )
    compression.add_argument("--dev", type=Path, help="folder of photographs to measure on")
    given = parser.parse_args(argv)
    torch.set_num_threads(1)
    photos = load_photos(given.photos, least_side_px=128)
    chosen = photos[:: max(1, len(photos) // CALIBRATION_PHOTOS)][:CALIBRATION_PHOTOS]
    digest = export_compression(given.checkpoint, given.out, chosen, given.dev)
    write_card(given.out)
    print(digest)
    return 0


if __name__ == "__main__":
    sys.exit(main())
