"""Writes golden files with the built-in artifact into a new folder: `python -m tests.golden.make NAME`."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.codec.alpha import pack_alpha
from pipeline.codec.container import Extras
from tests.support.codec import artifact, codec, landscape
from tests.support.tri_reference import ReferenceDecoder

FOLDER = Path(__file__).parent


def main(name: str) -> None:
    """A colour picture, one pixel, a grey one with alpha and ICC, two tiles, noise with many escapes."""
    folder = FOLDER / name
    folder.mkdir()
    grey = np.repeat(landscape(40, 50, 3)[:, :, :1], 3, axis=2)
    alpha = np.arange(2000, dtype=np.uint16).reshape(40, 50).astype(np.uint8)
    noise = np.random.default_rng(0).choice(np.array([0, 255], np.uint8), (32, 32, 3))
    pictures = {
        "colour": (landscape(63, 65), 60, Extras()),
        "pixel": (landscape(8, 8)[:1, :1], 30, Extras()),
        "grey": (grey, 45, Extras(alpha=pack_alpha(alpha), icc=b"profile", exif=b"exif")),
        "tiles": (landscape(20, 1060, 5), 15, Extras(preview=b"preview")),
        "noise": (noise, 100, Extras()),
    }
    known = json.loads((FOLDER / "symbols.json").read_text()) if (FOLDER / "symbols.json").exists() else {}
    for stem, (pixels, quality, extras) in pictures.items():
        file = codec().encode(pixels, quality, is_grey=stem == "grey", extras=extras)
        path = folder / f"{stem}.tri"
        path.write_bytes(file.to_bytes())
        decoded = codec().decode(file)
        planes = np.dstack([decoded, alpha]) if stem == "grey" else decoded
        Image.fromarray(planes).save(path.with_suffix(".png"), optimize=True)
        digest = hashlib.sha256()
        for tile in ReferenceDecoder(artifact().directory).tiles(path.read_bytes()):
            digest.update(np.array([*tile.z, *tile.first, *tile.second], "<i2").tobytes())
        known[f"{name}/{path.name}"] = digest.hexdigest()
    (FOLDER / "symbols.json").write_text(json.dumps(known, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
