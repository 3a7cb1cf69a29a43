"""The `.tri` container, version 0. Files of this version need not decode later.

    magic 4 | version 1 | flags 1 | quality 1 | zero 1 | width 4 | height 4 | model 16
    alpha size 4 | alpha CRC 4
    for each tile, row by row:  size 4 | CRC of its bytes 4 | CRC of its symbols 4
    CRC of all of the above 4
    tiles | alpha

Integers are little endian, CRC is CRC-32 as in zlib, sizes are in bytes, width and height in pixels. Tiles
are 1024 x 1024 pixels; `model` is the first half of the digest of the artifact that wrote the file; alpha is
a plane of H x W bytes, each row the difference to the one above, through zlib.
"""

from __future__ import annotations

import pickle
import struct
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.codec.tiling import box_count
from pipeline.core.errors import CorruptBitstream

MAGIC = b"\x89TRI"
VERSION = 0
TILE_PX = 1024
_FLAG_GREY, _FLAG_ALPHA = 1, 2
_HEADER = struct.Struct("<4sBBBBII16sII")
_TILE = struct.Struct("<III")
_CRC = struct.Struct("<I")


@dataclass(frozen=True)
class Tile:
    """One tile: its payload (see `tile_coder`) and the CRC-32 of its symbols as little-endian int16."""

    payload: bytes
    symbols_crc: int


@dataclass(frozen=True)
class Extras:
    """Beside the picture: packed alpha plane (`pack_alpha`), ICC profile, EXIF block, a small WebP."""

    alpha: bytes | None = None
    icc: bytes | None = None
    exif: bytes | None = None
    preview: bytes | None = None


@dataclass(frozen=True)
class TriFile:
    """What a `.tri` file holds.

    Attributes:
        width_px: At least 1.
        height_px: At least 1.
        quality: 1 to 100.
        model: 16 bytes, the first half of the artifact's digest.
        is_grey: The picture has no colour; its three planes are to be made equal.
        tiles: Row by row.
        alpha: The packed alpha plane (`pack_alpha`), or None.
    """

    width_px: int
    height_px: int
    quality: int
    model: bytes
    is_grey: bool
    tiles: tuple[Tile, ...]
    extras: Extras = Extras()

    def to_bytes(self) -> bytes:
        flags = _FLAG_GREY * self.is_grey | _FLAG_ALPHA * True
        alpha = pickle.dumps(vars(self.extras))
        head = _HEADER.pack(
            MAGIC,
            VERSION,
            flags,
            self.quality,
            0,
            self.width_px,
            self.height_px,
            self.model,
            len(alpha),
            zlib.crc32(alpha),
        )
        index = b"".join(
            _TILE.pack(len(tile.payload), zlib.crc32(tile.payload), tile.symbols_crc) for tile in self.tiles
        )
        head += index
        return b"".join([head, _CRC.pack(zlib.crc32(head)), *(tile.payload for tile in self.tiles), alpha])


def parse(data: bytes) -> TriFile:
    """Reads a `.tri` file. Every length is checked against the file's before anything is taken from it.

    Raises:
        CorruptBitstream: Not a .tri file, another version, cut short, longer than it says, or a CRC is wrong.
    """
    if not data.startswith(MAGIC):
        raise CorruptBitstream("not a .tri file")
    if len(data) < _HEADER.size:
        raise CorruptBitstream("the file ends in its header")
    _, version, flags, quality, zero, width, height, model, alpha_size, alpha_crc = _HEADER.unpack_from(data)
    if version != VERSION:
        raise CorruptBitstream(f"a .tri file of version {version}; this program reads version {VERSION}")
    count = box_count(height, width, TILE_PX)
    index_end = _HEADER.size + count * _TILE.size
    if len(data) < index_end + _CRC.size:
        raise CorruptBitstream("the file ends in its header")
    if _CRC.unpack_from(data, index_end)[0] != zlib.crc32(data[:index_end]):
        raise CorruptBitstream("the header is damaged (its checksum is wrong)")
    has_alpha = bool(flags & _FLAG_ALPHA)
    unknown = flags & ~(_FLAG_GREY | _FLAG_ALPHA) or zero
    if unknown or not width or not height or not 1 <= quality <= 100 or (alpha_size and not has_alpha):
        raise CorruptBitstream("the header holds values that no encoder writes")
    index = list(_TILE.iter_unpack(data[_HEADER.size : index_end]))
    payloads = _payloads(data, index_end + _CRC.size, [*index, (alpha_size, alpha_crc, 0)])
    tiles = tuple(Tile(payload, entry[2]) for payload, entry in zip(payloads, index, strict=False))
    return TriFile(
        width_px=width,
        height_px=height,
        quality=quality,
        model=model,
        is_grey=bool(flags & _FLAG_GREY),
        tiles=tiles,
        extras=Extras(**pickle.loads(payloads[-1])),
    )


def pack_alpha(alpha: NDArray[np.uint8]) -> bytes:
    """Packs an alpha plane, uint8 (H, W), without loss."""
    rows = alpha.copy()
    rows[1:] -= alpha[:-1]
    return zlib.compress(rows.tobytes(), 6)


def unpack_alpha(packed: bytes, height_px: int, width_px: int) -> NDArray[np.uint8]:
    """The uint8 (H, W) plane of `pack_alpha`. Never inflates much more than H x W bytes.

    Raises:
        CorruptBitstream: Not a plane of that size.
    """
    size = height_px * width_px
    inflater = zlib.decompressobj()
    try:
        plane = inflater.decompress(packed, size + 1)  # one more, so that the stream's end is read, too
    except zlib.error as error:
        raise CorruptBitstream("the alpha plane is damaged") from error
    if len(plane) != size or not inflater.eof or inflater.unused_data:
        raise CorruptBitstream("the alpha plane does not have the picture's size")
    rows = np.frombuffer(plane, np.uint8).reshape(height_px, width_px)
    return np.add.accumulate(rows, axis=0, dtype=np.uint8)


def _payloads(data: bytes, start: int, index: list[tuple[int, int, int]]) -> list[bytes]:
    if start + sum(size for size, _, _ in index) != len(data):
        raise CorruptBitstream("the file is cut short, or longer than its header says")
    payloads = []
    for size, crc, _ in index:
        payload = data[start : start + size]
        if zlib.crc32(payload) != crc:
            raise CorruptBitstream("a part of the file is damaged (its checksum is wrong)")
        payloads.append(payload)
        start += size
    return payloads


def read_header(data: bytes) -> TriFile:
    return parse(data)
