"""Weights that several graphs share, stored once: whole numbers and a scale an output channel, deflated.

The file is an .npz. "NAME" is float16 or float32, and stands for itself, or int8 with a float32 "NAME:scale",
and stands for NAME * scale along its first axis. Graphs name the weights that they want; one that wants it
transposed says "NAME:T".
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from pipeline.core.errors import ArtifactCorrupt

Floats = NDArray[np.float32]

SCALE, TRANSPOSED = ":scale", ":T"


def read_weights(path: Path) -> dict[str, Floats]:
    """All weights by name, as float32.

    Raises:
        ArtifactCorrupt: Not such a file.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            stored = {name: file[name] for name in file.files}
    except (BadZipFile, ValueError, OSError) as error:
        raise ArtifactCorrupt(f"{path.name} holds no weights: {error}") from error
    return {
        name: from_stored(value, stored.get(name + SCALE))
        for name, value in stored.items()
        if not name.endswith(SCALE)
    }


def from_stored(value: NDArray[np.generic], scale: Floats | None) -> Floats:
    """A stored weight as float32."""
    floats: Floats = value.astype(np.float32)
    if scale is None:
        return floats
    return floats * scale.reshape(-1, *(1,) * (value.ndim - 1))


def wanted(weights: dict[str, Floats], names: Iterable[str]) -> dict[str, Floats]:
    """The weights that a graph names.

    Raises:
        ArtifactCorrupt: One is not there.
    """
    found = {}
    for name in names:
        plain = name.removesuffix(TRANSPOSED)
        if plain not in weights:
            raise ArtifactCorrupt(f"a graph wants the weight {plain!r}, which is not stored")
        found[name] = np.ascontiguousarray(weights[plain].T) if name.endswith(TRANSPOSED) else weights[plain]
    return found
