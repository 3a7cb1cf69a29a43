"""The board: `python -m tests.benchmarks.style --data DIR [--artifact DIR ...] [--pairs N]`.

Rows: the content itself, the style itself, half of each, MicroAST as published, exported artifacts of ours.
Every row is painted at 512 pixels and judged at 256, and painted and judged at 256. Never read content and
SSIM without the style columns: a plain blend wins those.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pipeline.training.micro_ast import MicroAST, load_microast
from pipeline.training.style_judge import JUDGED_PX, Judge, psnr_db, reduced
from tests.benchmarks.style.independent import MobileNet
from tests.benchmarks.style.painter import Painter
from tests.benchmarks.style.pairs import Pair, pairs
from tests.benchmarks.style.speed import SIZES, cpu_seconds
from tests.support.measure import machine, table

PAINTED_PX = (512, 256)
COLUMNS = (
    "content",
    "style 1_1",
    "style 2_1",
    "style 3_1",
    "style 1-3",
    "style 4_1",
    "ssim",
    "mobile content",
    "mobile style /4",
    "/8",
    "/16",
)
Row = Callable[[np.ndarray, np.ndarray], Tensor]


def to_float(pixels: np.ndarray) -> Tensor:
    """uint8 (1, H, W, 3) to float (1, 3, H, W) in [0, 1]."""
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255


def rows(painters: dict[str, Painter], microast: MicroAST) -> dict[str, Row]:
    """What is compared: content and style, uint8, to a picture, float."""
    found: dict[str, Row] = {
        "copy content": lambda content, _: to_float(content),
        "copy style": lambda _, style: to_float(style),
        "blend 50/50": lambda content, style: (to_float(content) + to_float(style)) / 2,
        "MicroAST": lambda content, style: _eight_bit(microast(to_float(content), to_float(style))),
    }
    for name, painter in painters.items():
        found[name] = _ours(painter)
    return found


def _ours(painter: Painter) -> Row:
    return lambda content, style: to_float(painter.paint(content, painter.style(style)))


def _eight_bit(x: Tensor) -> Tensor:
    return x.clamp(0, 1).mul(255).round().div(255)


@torch.no_grad()
def quality(
    compared: dict[str, Row], every: list[Pair], judge: Judge, mobile: MobileNet
) -> dict[str, list[float]]:
    """Mean marks by row and size painted ("MicroAST @512"), in the order of COLUMNS."""
    sums: dict[str, list[np.ndarray]] = defaultdict(list)
    for number, pair in enumerate(every):
        for side in PAINTED_PX:
            content, style = (reduced(to_float(x[side])) for x in (pair.content, pair.style))
            reference, other_reference = judge.reference(content, style), mobile.reference(content, style)
            for name, row in compared.items():
                found = reduced(row(pair.content[side], pair.style[side]))
                marks, other = judge.judge(found, reference), mobile.judge(found, other_reference)
                layers = [marks.style_by_layer[layer] for layer in ("11", "21", "31")]
                values = [marks.content, *layers, marks.style_shallow, marks.style_deep, marks.ssim]
                sums[f"{name} @{side}"].append(np.array([*values, other.content, *other.style]))
        print(f"\rpair {number + 1} of {len(every)}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    ordered = sorted(sums, key=lambda key: PAINTED_PX.index(int(key.rpartition("@")[2])))
    return {name: [float(value) for value in np.mean(sums[name], axis=0)] for name in ordered}


def identity_psnr_db(painter: Painter, every: list[Pair]) -> float:
    """Of contents given back at (1, 0), 512 pixels, mean."""
    none = np.zeros((1, painter.manifest.config["style_size"]), np.float32)
    found = [
        psnr_db(to_float(painter.paint(pair.content[512], none, beta=0.0)), to_float(pair.content[512]))
        for pair in every
    ]
    return sum(found) / len(found)


def seams(painter: Painter, pair: Pair, side_px: int = 2048, tile_px: int = 512) -> dict[str, float]:
    """Of tiles against the whole: largest difference in grey levels, and the part of the samples that differ.

    Both are rounded to 8 bits: a difference of a millionth shows as one level where it crosses a half.
    """
    content = np.tile(pair.content[512], (1, side_px // 512, side_px // 512, 1))
    style = painter.style(pair.style[512])
    whole, tiled = painter.paint(content, style), painter.paint_tiles(content, style, tile_px)
    apart = np.abs(whole.astype(np.int16) - tiled)
    return {"seam_levels": int(apart.max()), "seam_samples": float((apart > 0).mean())}


def main(argv: list[str] | None = None) -> int:
    """Prints the tables; exits 0 whatever they say."""
    given = _parse(argv)
    torch.set_num_threads(1)
    painters = {path.name: Painter(path) for path in given.artifact}
    weights = given.data / "weights"
    microast = load_microast(weights / "microast")
    paintings = [given.data / "paintings" / name for name in ("wikiart224", "public_domain")]
    every = list(pairs(given.data / "photos" / "bsds_dev", paintings, given.pairs, PAINTED_PX))
    mobile = MobileNet(weights / "mobilenet_v2_quant" / "mobilenet_v2_1.0_224_quant.tflite")
    found = quality(rows(painters, microast), every, Judge.load(weights), mobile)
    facts = {
        name: {
            "identity_psnr_db": identity_psnr_db(painter, every[:20]),
            **seams(painter, every[0]),
        }
        for name, painter in painters.items()
    }
    sizes = {name: SIZES[name] for name in given.sizes}
    spent = cpu_seconds(painters, microast, sizes) if sizes else {}
    _show(found, facts, spent, len(every))
    if given.json:
        result = {"pairs": len(every), "columns": COLUMNS, "quality": found, "facts": facts, "cpu_s": spent}
        given.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0


def _show(
    found: dict[str, list[float]],
    facts: dict[str, dict[str, float]],
    spent: dict[str, dict[str, float]],
    count: int,
) -> None:
    title = f"{count} pairs, painted at @N and judged at {JUDGED_PX} px (mobile: 1 is as far as a copy is)"
    print(table(title, ["", *COLUMNS], [[name, *values] for name, values in found.items()]))
    print(machine())
    for name, values in facts.items():
        levels, part = values["seam_levels"], values["seam_samples"]
        print(
            f"{name}: identity {values['identity_psnr_db']:.2f} dB;"
            f" tiled at 2048: {levels} levels in {part:.2e} of samples"
        )
    for name, seconds in spent.items():
        shown = (
            f"{size}: {value:.4f} ({value / spent['MicroAST'][size]:.3f}x)" for size, value in seconds.items()
        )
        print(f"CPU-seconds of {name}: {', '.join(shown)}")


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.style", description=__doc__)
    add = parser.add_argument
    add("--data", type=Path, required=True, help="holds photos/bsds_dev, paintings/... and weights/...")
    add("--artifact", type=Path, action="append", default=[], help="exported artifact (repeatable)")
    add("--pairs", type=int, default=300)
    add("--sizes", nargs="*", choices=sorted(SIZES), default=["512", "1024", "4096"], help="to time")
    add("--json", type=Path, help="write the numbers here, too")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
