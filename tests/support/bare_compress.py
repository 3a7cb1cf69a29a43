"""The bare loop that bulk compression is measured against: decode an image, code it, nothing else.

python -m tests.support.bare_compress QUALITY FILE...
"""

from __future__ import annotations

import sys

from pipeline.core.artifact import built_in_directory
from pipeline.core.operation import Limits
from pipeline.imaging.decode import decode_image
from pipeline.inference.artifacts import load_directory
from pipeline.inference.tri_codec import TriCodec
from tests.support.bare_loop import loop


def main(quality: int, names: list[str]) -> None:
    """Compresses."""
    codec = TriCodec.from_artifact(load_directory(built_in_directory("compression")))

    def compress(data: bytes) -> int:
        image = decode_image(data, Limits())
        return len(codec.encode(image.pixels, quality, is_grey=image.is_grey).to_bytes())

    loop(compress, names)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
