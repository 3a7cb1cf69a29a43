"""Walks an image file's own blocks before a decoder sees it: completeness, checksums, number of frames.

Pillow reads these blocks in Python without a bound on their number, and lets a damaged PNG through as long
as its pixels inflate. These walks do neither, touch no pixel, and end after `MAX_BLOCKS` steps.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

from pipeline.core.errors import UndecodableImage

MAX_BLOCKS = 4_000_000  # 512 MiB in GIF's blocks of 255 bytes are 2.1 million
_MAX_JPEG_SEGMENTS = 20_000
_MAX_JPEG_STRAY_BYTES = 65_536
_MAX_TIFF_ENTRIES = 4_096  # of one directory; cameras write below 200
_MAX_TIFF_VALUES = 250_000  # of one tag that is not plain bytes: strips or tiles, 50 us each in Pillow
_TIFF_BYTE_TYPES = (1, 2, 6, 7)


def frames(data: bytes, image_format: str, limit: int) -> int:
    """Checks a file's block structure and counts its frames (pages, in a TIFF).

    Args:
        data: The whole file.
        image_format: What `sniff` said it is.
        limit: Counting may stop once this many frames were exceeded.

    Returns:
        The number of frames, or some number above `limit`.

    Raises:
        UndecodableImage: Cut short, a checksum is wrong, or cut up beyond reason.
    """
    walk = _WALKS.get(image_format)
    if walk is None:
        return 1
    try:
        return walk(data, limit)
    except (struct.error, IndexError) as error:
        raise UndecodableImage(f"the {image_format.upper()} file is cut short") from error


def jpeg_scans(data: bytes) -> int:
    """Number of start-of-scan markers: inside entropy-coded data FF is always followed by 00."""
    return data.count(b"\xff\xda")


def _png(data: bytes, _limit: int) -> int:
    """PNG (ISO/IEC 15948): every chunk whole, every CRC right, IEND there; `acTL` tells the frames."""
    view, position, found = memoryview(data), 8, 1
    for _ in range(MAX_BLOCKS):
        length, kind = struct.unpack_from(">I4s", view, position)
        (crc,) = struct.unpack_from(">I", view, position + 8 + length)
        if zlib.crc32(view[position + 4 : position + 8 + length]) != crc:
            raise UndecodableImage(f"the PNG file is damaged: wrong checksum in {kind.decode('latin-1')}")
        if kind == b"acTL":
            found = max(1, int.from_bytes(view[position + 8 : position + 12], "big"))
        if kind == b"IEND":
            return found
        position += 12 + length
    raise UndecodableImage("the PNG file has too many chunks")


def _gif(data: bytes, limit: int) -> int:
    """GIF89a: image descriptors, jumping over sub-blocks. A missing trailer is forgiven, as everywhere."""
    position = 13 + _colour_table_bytes(data[10])
    found = 0
    for _ in range(MAX_BLOCKS):
        if found > limit or position >= len(data) or data[position] == 0x3B:
            return found
        if data[position] == 0x2C:
            found += 1
            position = _after_sub_blocks(data, position + 11 + _colour_table_bytes(data[position + 9]))
        elif data[position] == 0x21:
            position = _after_sub_blocks(data, position + 2)
        else:
            position += 1  # stray bytes between blocks are skipped, as Pillow does
    raise UndecodableImage("the GIF file has too many blocks")


def _colour_table_bytes(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _after_sub_blocks(data: bytes, position: int) -> int:
    for _ in range(MAX_BLOCKS):
        size = data[position]
        position += 1 + size
        if size == 0:
            return position
    raise UndecodableImage("the GIF file has too many blocks")


def _webp(data: bytes, limit: int) -> int:
    """WebP (RFC 9649): the RIFF size fits the file, and so does every chunk; `ANMF` chunks are frames."""
    end = 8 + struct.unpack_from("<I", data, 4)[0]
    if end > len(data):
        raise UndecodableImage("the WEBP file is cut short")
    position, found = 12, 0
    for _ in range(MAX_BLOCKS):
        if found > limit or position + 8 > end:
            return max(1, found)
        kind, size = struct.unpack_from("<4sI", data, position)
        found += kind == b"ANMF"
        position += 8 + size + (size & 1)
    raise UndecodableImage("the WEBP file has too many chunks")


def _tiff(data: bytes, limit: int) -> int:
    """TIFF 6.0 and BigTIFF: the chain of directories; a loop ends it."""
    order = "<" if data[:1] == b"I" else ">"
    big = 43 in data[2:4]
    offset_code, count_code, entry_bytes = ("Q", "Q", 20) if big else ("I", "H", 12)
    (position,) = struct.unpack_from(order + offset_code, data, 8 if big else 4)
    seen: set[int] = set()
    while position and position not in seen and len(seen) <= limit:
        seen.add(position)
        (entries,) = struct.unpack_from(order + count_code, data, position)
        if entries > _MAX_TIFF_ENTRIES:
            raise UndecodableImage(f"the TIFF file has a directory of {entries} tags")
        position += struct.calcsize(order + count_code)
        for at in range(position, position + entries * entry_bytes, entry_bytes):
            tag, kind, count = struct.unpack_from(order + "HH" + offset_code, data, at)
            if kind not in _TIFF_BYTE_TYPES and count > _MAX_TIFF_VALUES:
                raise UndecodableImage(f"the TIFF file has {count} values in tag {tag}")
        (position,) = struct.unpack_from(order + offset_code, data, position + entries * entry_bytes)
    return len(seen)


def _jpeg(data: bytes, _limit: int) -> int:
    """JPEG (ITU-T T.81): marker segments up to the first scan. Further pictures (MPO) are not counted."""
    position = 2
    for _ in range(_MAX_JPEG_SEGMENTS):
        marker, length = struct.unpack_from(">HH", data, position)
        if marker == 0xFFDA:
            return 1
        if marker == 0xFFFF:  # fill byte
            position += 1
        elif marker >= 0xFFC0:
            position += 2 + length
        else:  # some cameras leave a few stray bytes between segments; every decoder skips them
            position = data.find(b"\xff", position + 1, position + _MAX_JPEG_STRAY_BYTES)
            if position < 0:
                raise UndecodableImage("the JPEG file is damaged: no marker where one should be")
    raise UndecodableImage("the JPEG file has too many segments before its first scan")


_WALKS: dict[str, Callable[[bytes, int], int]] = {
    "png": _png,
    "gif": _gif,
    "webp": _webp,
    "tiff": _tiff,
    "jpeg": _jpeg,
}
