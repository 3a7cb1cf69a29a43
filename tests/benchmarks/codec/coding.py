"""One measured process: encodes pictures to files, or decodes files and compares. Started by `processes`.

    python -m tests.benchmarks.codec.coding encode|decode|survey CODEC FOLDER --levels 5,20 IMAGES...

`decode` knows the originals for the comparison, and nothing else of what `encode` did than its files. Prints
JSON. CPU seconds are those of all threads of this process, for the coding alone: reading and comparing do not
count, and one picture is coded beforehand.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline.core.operation import Limits
from pipeline.imaging.decode import decode_image
from pipeline.metrics.ms_ssim import ms_ssim
from pipeline.metrics.psnr import psnr_db
from tests.benchmarks.codec.codecs import EXTENSIONS, Codec, make_codec
from tests.benchmarks.codec.ours import Ours, choose_qualities
from tests.support.measure import peak_rss_bytes

Coded = TypeVar("Coded")


def main() -> None:
    """Does one of three things and prints what it measured."""
    options = parsed()
    if options.task == "survey":
        pictures = [read(path) for path in options.images]
        print(json.dumps({"levels": choose_qualities(Ours(options.artifact).mean_bpp(pictures))}))
        return
    codec = make_codec(options.codec, options.artifact)
    work = encode_all if options.task == "encode" else decode_all
    first = read(options.images[0])
    codec.decode(codec.encode(first, options.levels[0]))
    results = work(codec, options)
    print(
        json.dumps(
            {"results": results, "peak_bytes": peak_rss_bytes(os.getpid()), "version": codec.version()}
        )
    )


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("task", choices=("encode", "decode", "survey"))
    parser.add_argument("codec")
    parser.add_argument("folder", type=Path)
    parser.add_argument("images", type=Path, nargs="+")
    parser.add_argument("--levels", type=lambda text: [int(part) for part in text.split(",")], default=[])
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--artifact", type=Path)
    return parser.parse_args()


def encode_all(codec: Codec, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Writes a file for each picture and level."""
    results = []
    for image in options.images:
        pixels = read(image)
        for level in options.levels:
            data, cpu_s = timed(lambda: codec.encode(pixels, level), options.repeats)  # noqa: B023
            path = coded_path(options, level, image)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            results.append({"level": level, "image": image.name, "cpu_s": cpu_s})
    return results


def decode_all(codec: Codec, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Decodes each file and says how large it is and how close it came."""
    results = []
    for image in options.images:
        original = read(image)
        for level in options.levels:
            data = coded_path(options, level, image).read_bytes()
            decoded, cpu_s = timed(lambda: codec.decode(data), options.repeats)  # noqa: B023
            results.append(
                {
                    "level": level,
                    "image": image.name,
                    "pixels": original.shape[0] * original.shape[1],
                    "size_bytes": len(data),
                    "psnr_db": psnr_db(original, decoded),
                    "ms_ssim": ms_ssim(original, decoded),
                    "cpu_s": cpu_s,
                }
            )
    return results


def read(path: Path) -> NDArray[np.uint8]:
    """Pixels of an image file as the pipeline reads them; alpha is left out."""
    return decode_image(path.read_bytes(), Limits()).pixels


def coded_path(options: argparse.Namespace, level: int, image: Path) -> Path:
    folder: Path = options.folder / options.codec / str(level)
    return folder / f"{image.name}{EXTENSIONS[options.codec]}"


def timed(work: Callable[[], Coded], repeats: int) -> tuple[Coded, float]:
    """What it gives, and the least CPU seconds of some runs."""
    least = float("inf")
    for _ in range(repeats):
        before = time.process_time()
        coded = work()
        least = min(least, time.process_time() - before)
    return coded, least


if __name__ == "__main__":
    main()
