"""Compares Triptych's codec with others on a folder of pictures: `make bench-codec IMAGES=DIR`.

    python -m tests.benchmarks.codec --images DIR -o OUT [--codecs tri,webp] [--levels tri=10,40,80]

Sizes are those of whole files. Every file is decoded by another process than wrote it. Results of the other
codecs are kept in OUT and used again for the same pictures, libraries and levels.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.benchmarks.codec.codecs import ANCHORS, OURS, TITLES
from tests.benchmarks.codec.curves import Curve, curve_of
from tests.benchmarks.codec.plot import draw
from tests.benchmarks.codec.processes import Task, measure, survey
from tests.benchmarks.codec.report import json_report, text_report
from tests.benchmarks.codec.speed import speed_report

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".ppm")


def main() -> None:
    """Measures, then writes table.txt, table.json and curves.png, and prints the table."""
    options = parsed()
    images = pictures_of(options.images)[:: options.every]
    options.output.mkdir(parents=True, exist_ok=True)
    task = Task(images, options.output, options.artifact)
    chosen = {name: levels_of(text) for name, _, text in (one.partition("=") for one in options.levels)}

    def curve(codec: str) -> Curve:
        levels = chosen.get(codec) or (survey(task) if codec == OURS else ANCHORS[codec].levels)
        return curve_of(codec, measure(task, codec, levels))

    with ThreadPoolExecutor(options.jobs) as pool:
        curves = list(pool.map(curve, options.codecs))
    report = text_report(curves, images)
    if OURS in options.codecs and options.speed:
        report += speed_report(task)
    (options.output / "table.txt").write_text(report)
    (options.output / "table.json").write_text(json_report(curves, images))
    draw(
        curves,
        options.output / "curves.png",
        f"{options.title or options.images.name}, {len(images)} pictures",
    )
    print(report)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.codec", description=__doc__)
    parser.add_argument("--images", type=Path, required=True, help="a folder of pictures")
    parser.add_argument("-o", "--output", type=Path, default=Path("bench-codec"), help="folder for results")
    parser.add_argument("--codecs", type=codecs_of, default=[OURS, *ANCHORS], help=",".join(TITLES))
    parser.add_argument("--levels", action="append", default=[], metavar="CODEC=1,2,3")
    parser.add_argument("--every", type=int, default=1, help="take every n-th picture only")
    parser.add_argument("--artifact", type=Path, help="directory of a model instead of the built-in one")
    parser.add_argument("--jobs", type=int, default=2, help="codecs measured side by side")
    parser.add_argument("--title", help="above the plot, instead of the folder's name")
    parser.add_argument("--speed", action=argparse.BooleanOptionalAction, default=True)
    return parser.parse_args()


def codecs_of(text: str) -> list[str]:
    names = text.split(",")
    if unknown := set(names) - set(TITLES):
        raise argparse.ArgumentTypeError(f"no codec {', '.join(sorted(unknown))}")
    return names


def levels_of(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def pictures_of(folder: Path) -> list[Path]:
    """Image files of a folder in the order of their names."""
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if not found:
        raise SystemExit(f"{folder} has no pictures ({' '.join(SUFFIXES)})")
    return found


if __name__ == "__main__":
    main()
