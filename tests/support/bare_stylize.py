"""The bare loop that bulk stylizing is measured against: decode an image, paint it, write a JPEG file.

python -m tests.support.bare_stylize STYLE FILE...
"""

from __future__ import annotations

import sys

from pipeline.core.artifact import built_in_directory
from pipeline.core.operation import Limits
from pipeline.imaging.decode import decode_image
from pipeline.imaging.encode import encode_image
from pipeline.inference.artifacts import load_directory
from pipeline.inference.painter import Brush, Painter
from tests.support.bare_loop import loop
from tests.support.stylize import gallery_picture


def main(style: str, names: list[str]) -> None:
    """Paints."""
    painter = Painter.from_artifact(load_directory(built_in_directory("stylization")))
    brushes = [Brush(painter.encode_style(gallery_picture(style)), 0.0, 1.0)]

    def stylize(data: bytes) -> int:
        pixels = decode_image(data, Limits()).pixels
        return len(encode_image(painter.paint(painter.study(pixels), brushes), "jpeg"))

    loop(stylize, names)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
