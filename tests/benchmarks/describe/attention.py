"""Does the heat map find the photograph? One quadrant of a grey canvas holds it."""

from __future__ import annotations

import numpy as np
from PIL import Image

from pipeline.inference.describe_model import SIDE_PX, DescribeModel
from tests.benchmarks.describe.data import DevPhoto

_HALF = SIDE_PX // 2


def heat_in_quadrant(model: DescribeModel, photos: list[DevPhoto]) -> float:
    """Mean part of the heat, over all words of the captions, in the quadrant with the photograph."""
    parts = []
    for i, photo in enumerate(photos):
        row, column = divmod(i % 4, 2)
        canvas = np.full((SIDE_PX, SIDE_PX, 3), 128, np.uint8)
        small = Image.fromarray(photo.pixels).resize((_HALF, _HALF), Image.Resampling.BICUBIC)
        canvas[row * _HALF :, column * _HALF :][:_HALF, :_HALF] = np.asarray(small)
        state = model.encode(canvas, None)
        maps = model.attention(state, model.write([state])[0])
        side = maps.shape[1] // 2
        parts.append(maps[:, row * side :, column * side :][:, :side, :side].sum(axis=(1, 2)).mean())
    return float(np.mean(parts))
