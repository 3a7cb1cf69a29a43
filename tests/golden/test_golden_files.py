"""Bitstreams that must decode for ever: the files beside this module, written by versions past and present.

`python -m tests.golden.make NAME` writes new ones with the current artifact; old ones are never changed.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from pipeline.codec.alpha import unpack_alpha
from pipeline.codec.container import parse
from pipeline.core.operation import Limits
from pipeline.imaging.decode import decode_image
from pipeline.inference.artifacts import load_built_in_by_prefix
from pipeline.inference.tri_codec import TriCodec
from tests.support.tri_reference import ReferenceDecoder

FOLDER = Path(__file__).parent
FILES = sorted(FOLDER.glob("*/*.tri"))
KNOWN = json.loads((FOLDER / "symbols.json").read_text())


def test_there_are_golden_files() -> None:
    """All that are listed are there, and the other way round."""
    assert {f"{path.parent.name}/{path.name}" for path in FILES} == set(KNOWN)
    assert len(FILES) >= 4


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_golden_files_decode(path: Path) -> None:
    """Within one grey level of the picture that was written beside it; alpha exactly."""
    file = parse(path.read_bytes())
    artifact = load_built_in_by_prefix("compression", file.model)
    assert artifact is not None, "the artifact of this file must ship for ever"
    picture = decode_image(path.with_suffix(".png").read_bytes(), Limits())
    found = TriCodec.from_artifact(artifact).decode(file)
    assert np.abs(found.astype(int) - picture.pixels).max() <= 1
    if file.extras.alpha is not None:
        alpha = unpack_alpha(file.extras.alpha, file.height_px, file.width_px)
        assert np.array_equal(alpha, picture.alpha)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_reference_decoder_reads_the_same_symbols(path: Path) -> None:
    """A decoder in plain Python, written from docs/format.md, finds the symbols that were coded."""
    artifact = load_built_in_by_prefix("compression", parse(path.read_bytes()).model)
    assert artifact is not None
    digest = hashlib.sha256()
    for tile in ReferenceDecoder(artifact.directory).tiles(path.read_bytes()):
        digest.update(np.array([*tile.z, *tile.first, *tile.second], "<i2").tobytes())
    assert digest.hexdigest() == KNOWN[f"{path.parent.name}/{path.name}"]
