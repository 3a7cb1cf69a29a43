"""Image files as bytes: by Pillow where it can write them, by hand where it cannot or will not."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

PNG_GREY, PNG_RGB, PNG_GREY_ALPHA, PNG_RGBA = 0, 2, 4, 6


def picture(width_px: int = 48, height_px: int = 32) -> Image.Image:
    """A small colour picture without symmetry: a reddish top left, blue to the right, green below."""
    y, x = np.mgrid[0:height_px, 0:width_px]
    planes = (
        np.where((x < width_px / 3) & (y < height_px / 3), 230, 40) + (x * 7 + y * 3) % 16,
        y * 200 // max(height_px - 1, 1) + 20,
        x * 200 // max(width_px - 1, 1) + 20,
    )
    return Image.fromarray(np.stack(planes, axis=-1).astype(np.uint8))


def saved(image: Image.Image, image_format: str, **options: Any) -> bytes:
    """`image` as a file of that format."""
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def png_chunk(kind: bytes, body: bytes) -> bytes:
    """One PNG chunk with its checksum."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_header(width: int, height: int, depth: int, colour_type: int) -> bytes:
    """The PNG signature and an IHDR chunk."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header)


def png16(values: NDArray[np.uint16], colour_type: int, *, extra: bytes = b"") -> bytes:
    """A 16-bit PNG of uint16 (H, W, channels); `extra` chunks stand before the pixels."""
    height, width = values.shape[:2]
    rows = values.astype(">u2").reshape(height, -1)
    data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    return (
        png_header(width, height, 16, colour_type)
        + extra
        + png_chunk(b"IDAT", data)
        + png_chunk(b"IEND", b"")
    )


def one_bit_png(side_px: int) -> bytes:
    """A complete black one-bit PNG of any size, in a few hundred kilobytes at most."""
    packer = zlib.compressobj(9)
    row = bytes(1 + (side_px + 7) // 8)
    data = b"".join(packer.compress(row * 500) for _ in range(side_px // 500))
    data += packer.compress(row * (side_px % 500)) + packer.flush()
    return png_header(side_px, side_px, 1, PNG_GREY) + png_chunk(b"IDAT", data) + png_chunk(b"IEND", b"")


def tiff(
    tags: Iterable[tuple[int, int, tuple[int, ...]]],
    pixels: bytes,
    *,
    order: str = "<",
    next_directory: int = 0,
) -> bytes:
    """A TIFF of one directory at byte 8; the pixels follow it as one strip.

    Args:
        tags: (tag, type, values) with type 3 (SHORT) or 4 (LONG), in ascending order; StripOffsets (273) is
            filled in where its value is 0.
        pixels: What stands in the strip.
        order: "<" or ">".
        next_directory: Offset of the next directory.
    """
    entries = list(tags)
    position = 8 + 2 + 12 * len(entries) + 4
    long_values = b""
    table = struct.pack(order + "H", len(entries))
    extra_bytes = sum(len(v) * _SIZE[k] for _, k, v in entries if len(v) * _SIZE[k] > 4)
    for tag, kind, values in entries:
        filled = (position + extra_bytes,) if tag == 273 and values == (0,) else values
        packed = struct.pack(order + _CODE[kind] * len(filled), *filled)
        if len(packed) > 4:
            table += struct.pack(order + "HHII", tag, kind, len(filled), position + len(long_values))
            long_values += packed
        else:
            table += struct.pack(order + "HHI", tag, kind, len(filled)) + packed.ljust(4, b"\0")
    start = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 8)
    return start + table + struct.pack(order + "I", next_directory) + long_values + pixels


_SIZE, _CODE = {3: 2, 4: 4}, {3: "H", 4: "I"}


def tiff_samples(
    values: NDArray[Any],
    photometric: int,
    *,
    bits: int = 16,
    order: str = "<",
    sample_format: int = 1,
    more: Iterable[tuple[int, int, tuple[int, ...]]] = (),
) -> bytes:
    """An uncompressed TIFF of (H, W) or (H, W, channels) samples of 8, 16 or 32 bits, with further tags."""
    height, width = values.shape[:2]
    channels = values.shape[2] if values.ndim == 3 else 1
    pixels = values.astype(values.dtype.newbyteorder(order)).tobytes()
    tags = [
        (256, 4, (width,)),
        (257, 4, (height,)),
        (258, 3, (bits,) * channels),
        (259, 3, (1,)),
        (262, 3, (photometric,)),
        (273, 4, (0,)),
        (277, 3, (channels,)),
        (278, 4, (height,)),
        (279, 4, (len(pixels),)),
        (339, 3, (sample_format,) * channels),
        *more,
    ]
    return tiff(sorted(tags), pixels, order=order)
