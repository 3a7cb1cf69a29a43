"""EXIF as it stands in a file: one TIFF structure (EXIF 2.32, section 4.5), kept whole or not at all."""

from __future__ import annotations

import struct

from PIL.ImageFile import ImageFile

APP1_PREFIX = b"Exif\0\0"  # stands before it in a JPEG segment
_ORIENTATION, _SHORT, _UPRIGHT = 274, 3, 1
MAX_EXIF_BYTES = 2**20  # JPEG holds 64 KiB; camera notes in other formats reach a few hundred


def exif_of(image: ImageFile) -> bytes | None:
    """The EXIF block of an opened file, byte for byte, from its TIFF header on.

    None where there is none, where it is larger than MAX_EXIF_BYTES, and for TIFF files, whose EXIF is
    spread over the file.
    """
    data = image.info.get("exif")
    if not isinstance(data, bytes):
        return None
    data = data.removeprefix(APP1_PREFIX)
    return data if 0 < len(data) <= MAX_EXIF_BYTES else None


def upright(exif: bytes) -> bytes | None:
    """The same block for a picture that has been turned upright: its orientation says so.

    Two bytes change at most; offsets stay as they are, so camera notes survive.

    Returns:
        The block; None when it is damaged, so that no reader can be misled by half of it.
    """
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None:
        return None
    changed = bytearray(exif)
    try:
        magic, start = struct.unpack_from(order + "HI", exif, 2)
        (entries,) = struct.unpack_from(order + "H", exif, start)
        for at in range(start + 2, start + 2 + 12 * entries, 12):
            tag, kind, count = struct.unpack_from(order + "HHI", exif, at)
            if tag == _ORIENTATION:
                if (kind, count) != (_SHORT, 1):
                    return None
                struct.pack_into(order + "H", changed, at + 8, _UPRIGHT)
    except struct.error:
        return None
    return bytes(changed) if magic == 42 else None
