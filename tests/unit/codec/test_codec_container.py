"""The .tri container."""

from __future__ import annotations

import struct
import zlib
from dataclasses import replace

import numpy as np
import pytest

from pipeline.codec.container import Tile, TriFile, pack_alpha, parse, unpack_alpha
from pipeline.core.errors import CorruptBitstream

FILE = TriFile(
    width_px=1025,
    height_px=700,
    quality=50,
    model=bytes(range(16)),
    is_grey=True,
    tiles=(Tile(b"first tile", 17), Tile(b"", 2**32 - 1)),
    alpha=b"alpha",
)
INDEX_END = 40 + 2 * 12


def sealed(head: bytes, rest: bytes) -> bytes:
    """A header with a right checksum, whatever it says."""
    return head + struct.pack("<I", zlib.crc32(head)) + rest


@pytest.mark.parametrize("file", [FILE, replace(FILE, alpha=None, is_grey=False)])
def test_parse_undoes_to_bytes(file: TriFile) -> None:
    """All fields come back."""
    assert parse(file.to_bytes()) == file


@pytest.mark.parametrize(
    ("offset", "value"),
    [
        (5, 0xFF),
        (5, 0),
        (6, 0),
        (6, 101),
        (7, 1),
        (8, 0),
        (11, 0xFF),
        (15, 0xFF),
        (32, 0xFF),
        (43, 0xFF),
    ],
)
def test_hostile_headers_are_refused(offset: int, value: int) -> None:
    """Impossible flags, quality, sizes and lengths, with a right checksum."""
    data = FILE.to_bytes()
    head = bytearray(data[:INDEX_END])
    assert head[offset] != value
    head[offset] = value
    with pytest.raises(CorruptBitstream):
        parse(sealed(bytes(head), data[INDEX_END + 4 :]))


@pytest.mark.parametrize("size", [(0, 700), (1025, 0), (0, 0)])
def test_empty_pictures_are_refused(size: tuple[int, int]) -> None:
    """A picture has at least one pixel, whatever number of tiles follows."""
    for tiles in (FILE.tiles, ()):
        with pytest.raises(CorruptBitstream):
            parse(replace(FILE, width_px=size[0], height_px=size[1], tiles=tiles).to_bytes())


def test_other_versions_are_named() -> None:
    """A file of a later version says so."""
    data = bytearray(FILE.to_bytes())
    data[4] = 7
    with pytest.raises(CorruptBitstream, match="version 7"):
        parse(bytes(data))


@pytest.mark.parametrize("data", [b"", b"\x89TRI", b"RIFF....WEBP", FILE.to_bytes() + b"x"])
def test_other_files_are_refused(data: bytes) -> None:
    """Empty, other formats, trailing bytes."""
    with pytest.raises(CorruptBitstream):
        parse(data)


def test_alpha_is_lossless() -> None:
    """Every value, every row."""
    alpha = np.random.default_rng(0).integers(0, 256, (33, 20), dtype=np.uint8)
    assert np.array_equal(unpack_alpha(pack_alpha(alpha), 33, 20), alpha)


def test_smooth_alpha_is_small() -> None:
    """A soft edge costs a fraction of its plane."""
    alpha = np.broadcast_to(np.linspace(0, 255, 512).astype(np.uint8), (512, 512))
    assert len(pack_alpha(alpha)) < 4000


@pytest.mark.parametrize("packed", [b"no zlib", zlib.compress(bytes(19)), zlib.compress(bytes(10**6)), b""])
def test_wrong_alpha_is_refused(packed: bytes) -> None:
    """Damaged planes and planes of another size; a bomb is not inflated."""
    with pytest.raises(CorruptBitstream):
        unpack_alpha(packed, 4, 5)
