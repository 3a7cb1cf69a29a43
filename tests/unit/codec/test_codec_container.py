"""The .tri container."""

from __future__ import annotations

import struct
import zlib
from dataclasses import replace

import numpy as np
import pytest

from pipeline.codec.alpha import pack_alpha, unpack_alpha
from pipeline.codec.container import Extras, TriFile, parse, read_header
from pipeline.core.errors import CorruptBitstream

FILE = TriFile(
    width_px=1025,
    height_px=700,
    quality=50,
    model=bytes(range(16)),
    is_grey=True,
    tiles=(b"first tile", b""),
    extras=Extras(alpha=b"alpha", icc=b"profile", exif=b"", preview=b"small picture"),
)
INDEX_END = 32 + 4 * 8 + 2 * 4


def sealed(head: bytes, rest: bytes) -> bytes:
    """A header with a right checksum, whatever it says."""
    return head + struct.pack("<I", zlib.crc32(head)) + rest


@pytest.mark.parametrize(
    "file", [FILE, replace(FILE, extras=Extras(), is_grey=False), replace(FILE, extras=Extras(exif=b"e"))]
)
def test_parse_undoes_to_bytes(file: TriFile) -> None:
    """All fields come back."""
    assert parse(file.to_bytes()) == file


def test_the_header_says_where_things_are() -> None:
    """It can be read from the beginning of a file whose length is known."""
    data = FILE.to_bytes()
    header = read_header(data[: INDEX_END + 4], file_size=len(data))
    assert (header.width_px, header.height_px, header.quality) == (1025, 700, 50)
    start, size = header.tiles[0]
    assert data[start : start + size] == b"first tile"
    start, size, _ = header.extras["icc"]
    assert data[start : start + size] == b"profile"
    with pytest.raises(CorruptBitstream, match="cut short"):
        read_header(data[: INDEX_END + 4], file_size=len(data) - 1)


def test_the_least_a_file_costs() -> None:
    """40 bytes beside its tile."""
    assert len(TriFile(1, 1, 1, bytes(16), False, (b"",)).to_bytes()) == 40


@pytest.mark.parametrize(
    ("offset", "value"),
    [
        (5, 0),  # quality
        (5, 101),
        (6, 0xFF),  # flags
        (7, 1),
        (8, 0xFF),  # a width of other tiles
        (11, 0xFF),
        (15, 0xFF),
        (32, 0xFF),  # an extra's size
        (64, 0xFF),  # a tile's size
        (71, 0xFF),
    ],
)
def test_hostile_headers_are_refused(offset: int, value: int) -> None:
    """Impossible flags, quality, sizes and lengths, with a right checksum."""
    data = FILE.to_bytes()
    head = bytearray(data[:INDEX_END])
    assert head[offset] != value
    head[offset] = value
    if offset == 8:
        head[9] = 0xFF
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


def test_a_damaged_extra_is_refused() -> None:
    """What is kept byte for byte is checked byte for byte."""
    data = FILE.to_bytes()
    for name in (b"alpha", b"profile", b"small picture"):
        with pytest.raises(CorruptBitstream, match="is damaged"):
            parse(data.replace(name, name[:-1] + b"_"))


@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 1000), (64, 48)])
def test_alpha_is_lossless(height: int, width: int) -> None:
    """Every value survives, whatever the size."""
    alpha = np.random.default_rng(0).integers(0, 256, (height, width), dtype=np.uint8)
    assert np.array_equal(unpack_alpha(pack_alpha(alpha), height, width), alpha)


@pytest.mark.parametrize(
    "packed",
    [b"", b"junk", pack_alpha(np.zeros((4, 4), np.uint8))[:-1], pack_alpha(np.zeros((4, 5), np.uint8))],
)
def test_alpha_of_another_size_is_refused(packed: bytes) -> None:
    """Damaged, cut short, too large."""
    with pytest.raises(CorruptBitstream):
        unpack_alpha(packed, 4, 4)


def test_an_inflating_alpha_plane_stays_small() -> None:
    """A bomb is refused after the plane's size, not after all it holds."""
    with pytest.raises(CorruptBitstream):
        unpack_alpha(zlib.compress(bytes(10**8)), 4, 4)
