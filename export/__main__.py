"""Command line: one subcommand a model, and one for the gallery.

python -m export compression --checkpoint FILE --out DIR --photos DIR [--dev DIR]
python -m export stylization --checkpoint FILE --out DIR [--styles DIR] [--name NAME] [--record FILE]
python -m export description --checkpoint FILE --out DIR --weights DIR [--record FILE]
python -m export gallery --out DIR

`--terms FILE` (JSON: licence, data_sets, attributions, note) says under which terms weights of your own are;
without it the manifest has those of the weights that ship.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from export.card import write_card
from export.compression import export_compression
from export.description import export_description
from export.gallery import write_gallery
from export.stylization import export_stylization
from pipeline.core.artifact import Terms
from pipeline.training.paintings import load_paintings
from pipeline.training.photos import load_photos

CALIBRATION_PHOTOS = 80
STYLES = 300


def main(argv: list[str] | None = None) -> int:
    """Exports one model; prints the artifact's digest."""
    given = _parser().parse_args(argv)
    torch.set_num_threads(1)
    commands = {
        "compression": _compression,
        "stylization": _stylization,
        "description": _description,
        "gallery": _gallery,
    }
    print(commands[given.model](given))
    return 0


def _compression(given: argparse.Namespace) -> str:
    photos = load_photos(given.photos, least_side_px=128)
    chosen = photos[:: max(1, len(photos) // CALIBRATION_PHOTOS)][:CALIBRATION_PHOTOS]
    digest = export_compression(given.checkpoint, given.out, chosen, given.dev, **_terms(given))
    write_card(given.out)
    return digest


def _stylization(given: argparse.Namespace) -> str:
    styles = load_paintings(given.styles, range(2, 8), least_side_px=64) if given.styles else []
    chosen = styles[:: max(1, len(styles) // STYLES)]
    return export_stylization(
        given.checkpoint, given.out, name=given.name, record=given.record, styles=chosen, **_terms(given)
    )


def _description(given: argparse.Namespace) -> str:
    return export_description(
        given.checkpoint, given.out, given.weights, record=given.record, **_terms(given)
    )


def _terms(given: argparse.Namespace) -> dict[str, Terms]:
    if given.terms is not None:
        return {"terms": Terms.model_validate_json(given.terms.read_text(encoding="utf-8"))}
    print("terms: those of the weights that ship; --terms FILE for weights of your own", file=sys.stderr)
    return {}


def _gallery(given: argparse.Namespace) -> str:
    return f"{len(write_gallery(given.out))} styles"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m export", description="Export a trained model as an artifact."
    )
    models = parser.add_subparsers(dest="model", required=True)
    compression = models.add_parser("compression", help="the image codec")
    stylization = models.add_parser("stylization", help="style transfer")
    description = models.add_parser("description", help="words from pictures and sounds")
    gallery = models.add_parser("gallery", help="the built-in styles, painted by code")
    for model in (compression, stylization, description):
        model.add_argument(
            "--checkpoint",
            type=Path,
            required=True,
            help=".pt, .safetensors (an artifact, but of compression)",
        )
        model.add_argument(
            "--terms", type=Path, help="JSON of the weights' licence, data_sets, attributions, note"
        )
    for model in (compression, stylization, description, gallery):
        model.add_argument("--out", type=Path, required=True, help="the directory to write to")
    compression.add_argument(
        "--photos", type=Path, action="append", required=True, help="training photographs (repeatable)"
    )
    compression.add_argument("--dev", type=Path, help="folder of photographs to measure on")
    stylization.add_argument(
        "--styles",
        type=Path,
        action="append",
        help="training paintings, for the range of styles (repeatable)",
    )
    stylization.add_argument("--name", default="stylization", help="the artifact's name")
    stylization.add_argument("--record", type=Path, help="the training's record.jsonl, for its last marks")
    description.add_argument(
        "--weights", type=Path, required=True, help="holds yamnet_quant and mobilenet_v2_quant (class names)"
    )
    description.add_argument("--record", type=Path, help="the training's record.jsonl, for its last marks")
    return parser


if __name__ == "__main__":
    sys.exit(main())
