"""The bare loop that bulk compression is measured against: decode an image, code it, nothing else.

    python -m tests.support.bare_compress QUALITY FILE...

A file named twice is coded twice; all are in memory before it counts. One thread. `bare` says what it prints.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from pipeline.core.artifact import built_in_directory
from pipeline.core.operation import Limits
from pipeline.imaging.decode import decode_image
from pipeline.inference.artifacts import load_directory
from pipeline.inference.tri_codec import TriCodec


def main(quality: int, names: list[str]) -> None:
    """Compresses."""
    codec = TriCodec.from_artifact(load_directory(built_in_directory("compression")))
    files = {name: Path(name).read_bytes() for name in set(names)}

    def compress(name: str) -> int:
        image = decode_image(files[name], Limits())
        return len(codec.encode(image.pixels, quality, is_grey=image.is_grey).to_bytes())

    compress(names[0])
    print("ready", flush=True)
    sys.stdin.readline()
    cpu_s, began = time.process_time(), time.time()
    for name in names:
        compress(name)
    print(began, time.time(), time.process_time() - cpu_s, flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
