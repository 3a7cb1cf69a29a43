"""The bare loop that bulk describing is measured against: decode images, caption them, eight at a time.

python -m tests.support.bare_describe LANGUAGE FILE...
"""

from __future__ import annotations

import sys

import numpy as np
from PIL import Image

from pipeline.core.artifact import built_in_directory
from pipeline.core.operation import Limits
from pipeline.imaging.decode import decode_image
from pipeline.inference.artifacts import load_directory
from pipeline.inference.describe_model import DescribeModel, State, squash
from tests.support.bare_loop import loop

TOGETHER = 8


def main(language: str, names: list[str]) -> None:
    """Captions."""
    model = DescribeModel(load_directory(built_in_directory("description")))
    waiting: list[State] = []

    def describe(data: bytes) -> None:
        pixels = np.asarray(decode_image(data, Limits()).pixels)
        waiting.append(model.encode(squash(Image.fromarray(pixels)), None))
        if len(waiting) == TOGETHER:
            model.write(waiting, "caption", language, max_tokens=40)
            waiting.clear()

    loop(describe, names)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
