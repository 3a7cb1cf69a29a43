"""`triptych models verify`: does an artifact write what its checkpoint writes, on this machine?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from export.imported.compare import Compared, check_numbers, compare
from export.imported.importing import SOURCE, load, weights_digests
from pipeline.core.artifact import BUILT_IN, MANIFEST, ArtifactManifest, read_manifest
from pipeline.core.errors import ArtifactCorrupt, UnusableCheckpoint, UnusableObject
from pipeline.inference.imported_config import config_of
from pipeline.inference.picture_input import Pixels

_BUILT_IN_PICTURES = ("marble.jpg", "meadow.jpg", "shapes.jpg")


def verify(
    directory: Path, folder: Path, pictures: Sequence[Path] | None = None, *, most: int = 40
) -> Iterator[Compared]:
    """Compares every preset over some pictures, alone and together.

    Args:
        directory: The artifact.
        folder: The checkpoint that it was made from.
        pictures: Files; by default, three that ship with Triptych.
        most: Tokens of a text.

    Raises:
        ArtifactCorrupt: A file is not what the manifest says, or the artifact is none of an imported model.
        UnusableCheckpoint: The folder cannot be loaded, or has other weights.
        ParityError: Pictures become other numbers than in the checkpoint's own processor.
    """
    manifest = _manifest(directory)
    config, source = config_of(manifest), manifest.config.get(SOURCE, {})
    if weights_digests(folder) != source.get("weights"):
        raise UnusableCheckpoint(f"{folder.name} has other weights than {manifest.name!r} was made from")
    paths = pictures or [BUILT_IN / "gallery" / name for name in _BUILT_IN_PICTURES]
    decoded = [_decoded(path) for path in paths]
    adapter, checkpoint = load(folder)
    # It also sets the checkpoint's own processor to the size of pictures that the artifact was made for.
    if adapter.take_apart(checkpoint, ("en",), config.picture.longest_px).config != config:
        raise UnusableCheckpoint(f"{folder.name} says other things of its model than when it was imported")
    check_numbers(adapter, checkpoint, config.picture)
    yield from compare(adapter, checkpoint, directory, decoded, most=most)


def _manifest(directory: Path) -> ArtifactManifest:
    if not (directory / MANIFEST).is_file():
        raise ArtifactCorrupt(f"{directory} has no {MANIFEST}")
    try:
        return read_manifest(directory)
    except (OSError, ValueError) as error:
        raise ArtifactCorrupt(f"{directory.name}: {error}") from error


def _decoded(path: Path) -> Pixels:
    try:
        with Image.open(path) as image:
            return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise UnusableObject(f"{path.name} is not a picture that can be read") from error
