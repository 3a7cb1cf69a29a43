"""An artifact against the checkpoint that it was made from: same numbers of a picture, same tokens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from export.imported.adapter import Adapter
from export.imported.checkpoint import Checkpoint
from pipeline.core.abilities import Preset
from pipeline.core.errors import ParityError
from pipeline.inference.artifacts import load_directory
from pipeline.inference.imported_config import PictureConfig
from pipeline.inference.imported_model import ImportedModel
from pipeline.inference.picture_input import Pixels, numbers, prepare

NUMBERS_TOLERANCE = 1e-3
_SIZES = ((48, 64), (301, 200), (97, 430))  # height, width: smaller and larger than a tile, wide and tall
_IMPORT_TOKENS = 12


@dataclass(frozen=True)
class Compared:
    """One text, written twice.

    Attributes:
        picture: Its place among the pictures.
        preset: What was asked.
        batch: How many pictures were asked together.
        torch, found: Tokens of the library and of the artifact.
        text: The artifact's.
    """

    picture: int
    preset: Preset
    batch: int
    torch: list[int]
    found: list[int]
    text: str

    @property
    def equal(self) -> bool:
        return self.torch == self.found

    @property
    def first_difference(self) -> int:
        """The first place where they differ."""
        pairs = enumerate(zip(self.torch, self.found, strict=False))
        return next((i for i, (a, b) in pairs if a != b), min(len(self.torch), len(self.found)))


def check_numbers(adapter: Adapter, checkpoint: Checkpoint, config: PictureConfig) -> None:
    """Pictures of several shapes through both preprocessings.

    Raises:
        ParityError: They differ by more than 1e-3.
    """
    for height, width in _SIZES:
        pixels = smooth_noise(height, width)
        wanted = adapter.numbers_of_torch(checkpoint, pixels).numpy()
        found = numbers(prepare(pixels, config), config)
        if wanted.shape != found.shape:
            raise ParityError(
                f"a picture of {width} x {height} px becomes {found.shape}, in the checkpoint's own processor"
                f" {wanted.shape}"
            )
        difference = float(np.abs(wanted - found).max())
        if difference > NUMBERS_TOLERANCE:
            raise ParityError(
                f"pictures differ by {difference:.4f} from what the checkpoint's own processor gives"
            )


def check_tokens(adapter: Adapter, checkpoint: Checkpoint, directory: Path) -> dict[str, Any]:
    """A few tokens of two pictures, for the manifest.

    Raises:
        ParityError: They are not the library's.
    """
    pictures = [smooth_noise(height, width) for height, width in _SIZES[:2]]
    compared = list(
        compare(adapter, checkpoint, directory, pictures, most=_IMPORT_TOKENS, presets=("caption",))
    )
    for one in compared:
        if not one.equal:
            raise ParityError(
                f"from token {one.first_difference} on, the graphs write {one.found},"
                f" the checkpoint {one.torch}"
            )
    return {"texts": len(compared), "tokens": sum(len(one.found) for one in compared), "equal": True}


def compare(
    adapter: Adapter,
    checkpoint: Checkpoint,
    directory: Path,
    pictures: Sequence[Pixels],
    *,
    most: int,
    presets: Sequence[Preset] = (),
) -> Iterator[Compared]:
    """Every preset of every picture, alone and all together, greedily.

    Args:
        adapter: The checkpoint's.
        checkpoint: What torch runs.
        directory: The artifact; its files are verified.
        pictures: uint8 RGB.
        most: Tokens of a text.
        presets: By default, all that differ in what the model is asked.

    Raises:
        ArtifactCorrupt: A file is not what the manifest says.
    """
    model = ImportedModel(load_directory(directory))
    prepared = [model.prepare(picture) for picture in pictures]
    asked = presets or list(
        {prompt: preset for preset, prompt in reversed(model.config.prompts.items())}.values()
    )
    batches = [[i] for i in range(len(pictures))] + (
        [list(range(len(pictures)))] if len(pictures) > 1 else []
    )
    for preset in asked:
        prompt = model.config.prompts[preset]
        for places in batches:
            wanted = adapter.tokens_of_torch(checkpoint, [(pictures[i], prompt) for i in places], most)
            found = model.write([prepared[i] for i in places], prompt, most)
            for i, expected, one in zip(places, wanted, found, strict=True):
                if isinstance(one, Exception):
                    raise one
                yield Compared(i, preset, len(places), expected, one.tokens, model.text(one.tokens, prompt))


def smooth_noise(height: int, width: int) -> Pixels:
    """A picture of nothing, with edges and colours, always the same; uint8 (height, width, 3)."""
    coarse = np.random.default_rng(height * 10_007 + width).integers(0, 256, (8, 8, 3))
    rows, columns = np.arange(height) * 8 // height, np.arange(width) * 8 // width
    shade = np.linspace(-40, 40, width)[None, :, None] * np.linspace(-1, 1, height)[:, None, None]
    pixels: Pixels = np.clip(coarse[rows][:, columns] + shade, 0, 255).astype(np.uint8)
    return pixels
