"""The `.tri` container, version 1; docs/format.md describes it byte by byte.

    magic 4 | version 1 | quality 1 | flags 2 | width 4 | height 4 | model 16
    for each extra that the flags name:  size 4 | CRC of its bytes 4
    for each tile, row by row:  size 4
    CRC of all of the above 4
    extras | tiles

Integers are little endian, CRC is CRC-32 as in zlib, sizes are in bytes, width and height in pixels. `model`
is the first half of the digest of the artifact that wrote the file. A tile's bytes are checked by what they
decode to (see `tile_coder`), so that a damaged one takes nothing else with it.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field, fields

from pipeline.codec.tiling import box_count
from pipeline.core.errors import CorruptBitstream

MAGIC = b"\x89TRI"
VERSION = 1
TILE_PX = 1024
QUALITIES = 100
_FLAG_GREY = 1
_HEADER = struct.Struct("<4sBBHII16s")
_EXTRA = struct.Struct("<II")
_SIZE = struct.Struct("<I")
_CRC = struct.Struct("<I")


@dataclass(frozen=True)
class Extras:
    """What a file may carry beside its picture, byte for byte; None where it does not.

    Attributes:
        alpha: A packed plane (`pipeline.codec.alpha`).
        icc: An ICC profile.
        exif: An EXIF block.
        preview: A small WebP or JPEG picture.
    """

    alpha: bytes | None = None
    icc: bytes | None = None
    exif: bytes | None = None
    preview: bytes | None = None


EXTRA_FLAGS = {"preview": 2, "icc": 4, "exif": 8, "alpha": 16}  # in the order in which they stand in a file
_KNOWN_FLAGS = _FLAG_GREY | sum(EXTRA_FLAGS.values())


@dataclass(frozen=True)
class Header:
    """What the first 32 bytes say, and where everything is.

    Attributes:
        width_px: At least 1.
        height_px: At least 1.
        quality: 1 to 100.
        model: 16 bytes, the first half of the artifact's digest.
        is_grey: The picture has no colour; its three planes are to be made equal.
        extras: Name to (start, size, CRC).
        tiles: (start, size) of each, row by row.
    """

    width_px: int
    height_px: int
    quality: int
    model: bytes
    is_grey: bool
    extras: dict[str, tuple[int, int, int]]
    tiles: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class TriFile:
    """What a `.tri` file holds; see `Header`. Tiles are payloads (`tile_coder`), row by row."""

    width_px: int
    height_px: int
    quality: int
    model: bytes
    is_grey: bool
    tiles: tuple[bytes, ...]
    extras: Extras = field(default_factory=Extras)

    def to_bytes(self) -> bytes:
        extras = {name: getattr(self.extras, name) for name in EXTRA_FLAGS}
        held = {name: data for name, data in extras.items() if data is not None}
        flags = _FLAG_GREY * self.is_grey | sum(EXTRA_FLAGS[name] for name in held)
        head = _HEADER.pack(MAGIC, VERSION, self.quality, flags, self.width_px, self.height_px, self.model)
        head += b"".join(_EXTRA.pack(len(data), zlib.crc32(data)) for data in held.values())
        head += b"".join(_SIZE.pack(len(tile)) for tile in self.tiles)
        return b"".join([head, _CRC.pack(zlib.crc32(head)), *held.values(), *self.tiles])


def read_header(data: bytes, file_size: int | None = None) -> Header:
    """Reads header and indices, and checks them against the file's length before anything is taken by them.

    Args:
        data: The file, or a beginning of it that holds the header and its indices.
        file_size: Of the whole file in bytes; None if `data` is all of it.

    Raises:
        CorruptBitstream: Not a .tri file, another version, cut short, longer than it says, or the CRC is
        wrong.
    """
    if not data.startswith(MAGIC):
        raise CorruptBitstream("not a .tri file")
    if len(data) < _HEADER.size:
        raise CorruptBitstream("the file ends in its header")
    _, version, quality, flags, width, height, model = _HEADER.unpack_from(data)
    if version != VERSION:
        raise CorruptBitstream(f"a .tri file of version {version}; this program reads version {VERSION}")
    if flags & ~_KNOWN_FLAGS or not width or not height or not 1 <= quality <= QUALITIES:
        raise CorruptBitstream("the header holds values that no encoder writes")
    names = [name for name, flag in EXTRA_FLAGS.items() if flags & flag]
    tiles_at = _HEADER.size + len(names) * _EXTRA.size
    end = tiles_at + box_count(height, width, TILE_PX) * _SIZE.size
    if len(data) < end + _CRC.size:
        raise CorruptBitstream("the file ends in its header")
    if _CRC.unpack_from(data, end)[0] != zlib.crc32(memoryview(data)[:end]):
        raise CorruptBitstream("the header is damaged (its checksum is wrong)")
    extras, tiles, position = {}, [], end + _CRC.size
    for name, (size, crc) in zip(names, _EXTRA.iter_unpack(data[_HEADER.size : tiles_at]), strict=True):
        extras[name] = (position, size, crc)
        position += size
    for (size,) in _SIZE.iter_unpack(data[tiles_at:end]):
        tiles.append((position, size))
        position += size
    if position != (len(data) if file_size is None else file_size):
        raise CorruptBitstream("the file is cut short, or longer than its header says")
    return Header(width, height, quality, model, bool(flags & _FLAG_GREY), extras, tuple(tiles))


def parse(data: bytes) -> TriFile:
    """Reads a whole `.tri` file; tiles are not decoded.

    Raises:
        CorruptBitstream: As `read_header`, or an extra is damaged.
    """
    header = read_header(data)
    extras = {}
    for name, (start, size, crc) in header.extras.items():
        extras[name] = data[start : start + size]
        if zlib.crc32(extras[name]) != crc:
            raise CorruptBitstream(f"the file's {name} is damaged (its checksum is wrong)")
    shared = {f.name: getattr(header, f.name) for f in fields(header) if f.name not in {"extras", "tiles"}}
    tiles = tuple(data[start : start + size] for start, size in header.tiles)
    return TriFile(**shared, tiles=tiles, extras=Extras(**extras))
