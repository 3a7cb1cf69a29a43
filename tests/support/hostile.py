"""Odd and hostile files, each with what must become of it. Made in code, always the same bytes.

`make_hostile` writes them all; a run over them must give one result a file and lose no worker.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from tests.support import icc
from tests.support import image_bytes as make

OK = "succeeded"
UNSUPPORTED, DAMAGED, TOO_LARGE = "unsupported_format", "undecodable_image", "image_too_large"


@dataclass(frozen=True)
class HostileFile:
    """One file and its expected outcome: "succeeded" or an error code."""

    path: Path
    outcome: str


def make_hostile(directory: Path) -> list[HostileFile]:
    """Writes the corpus (70-odd files, 2 MB) into an existing directory, in a fixed order."""
    made = []
    for family in (_cut_short, _damaged, _not_images, _too_large, _odd_kinds, _odd_tiffs, _odd_names):
        for name, data, outcome in family():
            path = directory / name
            path.write_bytes(data)
            made.append(HostileFile(path, outcome))
    return made


Case = tuple[str, bytes, str]


def _cut_short() -> Iterator[Case]:
    photo = make.picture(160, 120)
    whole = {
        "cut.jpg": make.saved(photo, "JPEG", quality=90),
        "cut-progressive.jpg": make.saved(photo, "JPEG", quality=90, progressive=True),
        "cut.png": make.saved(photo, "PNG"),
        "cut.webp": make.saved(photo, "WEBP", quality=90),
        "cut-lossless.webp": make.saved(photo, "WEBP", lossless=True),
        "cut.avif": make.saved(photo, "AVIF", quality=80),
        "cut.tif": make.tiff_samples(np.asarray(photo), 2, bits=8),
        "cut-lzw.tif": make.saved(photo, "TIFF", compression="tiff_lzw"),
        "cut.bmp": make.saved(photo, "BMP"),
        "cut.gif": make.saved(photo, "GIF"),
    }
    for name, data in whole.items():
        yield name, data[: len(data) * 2 // 3], DAMAGED
    yield "no-end-marker.jpg", whole["cut.jpg"][:-40], DAMAGED
    yield "no-iend.png", whole["cut.png"][:-12], DAMAGED
    yield "header-only.png", whole["cut.png"][:33], DAMAGED
    yield "signature-only.jpg", whole["cut.jpg"][:3], DAMAGED
    yield "empty.png", b"", DAMAGED


def _damaged() -> Iterator[Case]:
    png = make.saved(make.picture(), "PNG")
    flipped = bytearray(png)
    flipped[len(png) // 2] ^= 0x10
    yield "broken-crc.png", bytes(flipped), DAMAGED
    header, end = make.png_header(64, 64, 8, make.PNG_RGB), make.png_chunk(b"IEND", b"")
    yield "not-zlib.png", header + make.png_chunk(b"IDAT", b"this is not a zlib stream") + end, DAMAGED
    yield "too-few-rows.png", header + make.png_chunk(b"IDAT", zlib.compress(bytes(900))) + end, DAMAGED
    yield "no-pixels.png", header + end, DAMAGED
    yield "zero-width.png", make.png_header(0, 64, 8, make.PNG_RGB) + end, DAMAGED
    yield "no-frame.gif", b"GIF89a\x10\0\x10\0\0\0\0;", DAMAGED
    yield "only-magic.webp", b"RIFF\x0c\0\0\0WEBPVP8 ", DAMAGED
    yield "only-magic.avif", b"\0\0\0\x18ftypavif\0\0\0\0avifmif1", DAMAGED
    jpeg = make.saved(make.picture(), "JPEG")
    yield "no-tables.jpg", jpeg[:2] + jpeg[jpeg.index(b"\xff\xc0") :], DAMAGED
    yield "trailing-junk.jpg", jpeg + bytes(range(256)) * 40, OK
    yield "bogus-profile.jpg", make.saved(make.picture(), "JPEG", icc_profile=b"not a profile" * 20), OK
    yield "bogus-exif.jpg", make.saved(make.picture(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff"), OK


def _not_images() -> Iterator[Case]:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr(zipfile.ZipInfo("picture.txt"), "no picture")
    svg = b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"><rect width="9" height="9"/></svg>'
    yield "text.jpg", b"Dear reader, this is a text.\n" * 9, UNSUPPORTED
    yield "archive.png", archive.getvalue(), UNSUPPORTED
    yield "drawing.svg", svg, UNSUPPORTED
    yield "page.webp", b"<!doctype html><title>404</title>", UNSUPPORTED
    yield "layers.psd", b"8BPS\0\x01" + bytes(6) + struct.pack(">HIIHH", 3, 64, 64, 8, 3), UNSUPPORTED
    yield "print.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", UNSUPPORTED
    yield "document.pdf", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", UNSUPPORTED
    yield "phone.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64), UNSUPPORTED
    yield "zeros.bmp", bytes(4096), UNSUPPORTED
    yield "begins-with-bm.bmp", b"BM is how this text begins, and it is no bitmap.", UNSUPPORTED


def _too_large() -> Iterator[Case]:
    yield "one-bit-40000.png", make.one_bit_png(40_000), TOO_LARGE
    yield "screen-65535.gif", b"GIF89a\xff\xff\xff\xff\0\0\0,\0\0\0\0\1\0\1\0\0\2\2D\1\0;", TOO_LARGE
    frames = [Image.new("L", (2, 2), value % 251) for value in range(1_100)]
    yield "frames-1100.gif", make.saved(frames[0], "GIF", save_all=True, append_images=frames[1:]), TOO_LARGE
    canvas = b"VP8X" + struct.pack("<I", 10) + bytes(4) + b"\xfe\x3f\0" * 2
    pixels = make.saved(make.picture(16, 16), "WEBP")[12:]
    body = b"WEBP" + canvas + pixels
    yield "canvas-16383.webp", b"RIFF" + struct.pack("<I", len(body)) + body, TOO_LARGE
    flat = make.saved(Image.new("L", (4096, 4096), 90), "JPEG", progressive=True)
    scan = flat[flat.rindex(b"\xff\xda") : -2]
    yield "scans-600.jpg", flat[:-2] + scan * 600 + b"\xff\xd9", TOO_LARGE
    bmp = bytearray(make.saved(make.picture(16, 16), "BMP"))
    bmp[18:26] = struct.pack("<ii", 2**31 - 1, 2**31 - 1)
    yield "sides-2147483647.bmp", bytes(bmp), TOO_LARGE


def _odd_kinds() -> Iterator[Case]:
    photo = make.picture()
    ramp = np.linspace(0, 65535, 64 * 48).reshape(48, 64, 1).astype(np.uint16)
    frames = [make.picture(40 + n, 30).crop((n, 0, 40 + n, 30)) for n in range(4)]
    animated = {"save_all": True, "append_images": frames[1:]}
    exif = Image.Exif()
    exif[274] = 6
    clear = photo.quantize(16)
    yield "1x1.png", make.saved(Image.new("RGB", (1, 1), (9, 8, 7)), "PNG"), OK
    yield "1x5000.png", make.saved(make.picture(1, 5000), "PNG"), OK
    yield "5000x1.jpg", make.saved(make.picture(5000, 1), "JPEG"), OK
    yield "cmyk.jpg", make.saved(photo.convert("CMYK"), "JPEG", quality=95), OK
    profile = icc.grey_printer()
    yield "cmyk-profile.jpg", make.saved(photo.convert("CMYK"), "JPEG", icc_profile=profile), OK
    yield "display-p3.png", make.saved(photo, "PNG", icc_profile=icc.display_p3()), OK
    yield "grey.jpg", make.saved(photo.convert("L"), "JPEG"), OK
    yield "grey16.png", make.png16(ramp, make.PNG_GREY), OK
    yield "grey-alpha16.png", make.png16(np.concatenate([ramp, ramp], axis=2), make.PNG_GREY_ALPHA), OK
    yield "rgb16.png", make.png16(np.repeat(ramp, 3, axis=2), make.PNG_RGB), OK
    yield "one-bit.png", make.saved(photo.convert("1"), "PNG"), OK
    yield "alpha.png", make.saved(photo.convert("RGBA").rotate(30), "PNG"), OK
    yield "palette-clear.png", make.saved(clear, "PNG", transparency=bytes(range(0, 256, 16))), OK
    yield "palette-clear.gif", make.saved(clear, "GIF", transparency=3), OK
    yield "animated.gif", make.saved(frames[0], "GIF", **animated), OK
    yield "animated.webp", make.saved(frames[0], "WEBP", **animated), OK
    yield "animated.png", make.saved(frames[0], "PNG", **animated), OK
    yield "sequence.avif", _timeless(make.saved(frames[0], "AVIF", **animated, max_threads=1)), OK
    yield "orientation-6.jpg", make.saved(photo, "JPEG", exif=exif.tobytes()), OK
    yield "orientation-6.webp", make.saved(photo, "WEBP", exif=exif.tobytes()), OK
    yield "interlaced.gif", make.saved(photo.quantize(64), "GIF", interlace=1), OK


def _timeless(avif: bytes) -> bytes:
    """Sets the two times of making to zero in each header box that has them (ISO/IEC 14496-12, version 1)."""
    data = bytearray(avif)
    for box in (b"mvhd", b"tkhd", b"mdhd"):
        at = data.index(box) + 8
        data[at : at + 16] = bytes(16)
    return bytes(data)


def _odd_tiffs() -> Iterator[Case]:
    photo = np.asarray(make.picture())
    sixteen = photo.astype(np.uint16) * 257
    floats = np.linspace(0, 1, 64 * 48, dtype=np.float32).reshape(48, 64)
    pages = [make.picture(20, 20 + n) for n in range(3)]
    size = [(256, 4, (48,)), (257, 4, (32,))]
    yield "grey16.tif", make.tiff_samples(sixteen[..., 1], 1), OK
    yield "grey16-big-endian.tif", make.tiff_samples(sixteen[..., 1], 1, order=">"), OK
    yield "rgb16.tif", make.tiff_samples(sixteen, 2), OK
    yield "float.tif", make.tiff_samples(floats, 1, bits=32, sample_format=3), UNSUPPORTED
    yield "cmyk.tif", make.saved(make.picture().convert("CMYK"), "TIFF", compression="tiff_lzw"), OK
    yield "pages.tif", make.saved(pages[0], "TIFF", save_all=True, append_images=pages[1:]), OK
    yield "loop.tif", make.tiff(_grey_tags(48, 32), bytes(48 * 32), next_directory=8), OK
    yield "sides-4294967295.tif", make.tiff(_grey_tags(2**32 - 1, 2**32 - 1), bytes(64)), TOO_LARGE
    yield "tags-60000.tif", b"II*\0\x08\0\0\0" + struct.pack("<H", 60_000) + bytes(60_000 * 12), DAMAGED
    yield "no-size.tif", make.tiff(_grey_tags(48, 32)[2:], bytes(48 * 32)), DAMAGED
    yield "strip-far-away.tif", make.tiff([*size, (273, 4, (2**31,)), (278, 4, (32,))], b""), DAMAGED
    huge_tiles = [*size, (258, 3, (8,)), (259, 3, (8,)), (262, 3, (1,)), (277, 3, (1,))]
    huge_tiles += [(322, 4, (2**31 - 16,)), (323, 4, (2**31 - 16,)), (324, 4, (8,)), (325, 4, (8,))]
    yield "tiles-of-2147483632.tif", make.tiff(huge_tiles, bytes(64)), DAMAGED
    yield "directory-beyond-end.tif", b"MM\0*\x7f\xff\xff\xff", DAMAGED


def _grey_tags(width: int, height: int) -> list[tuple[int, int, tuple[int, ...]]]:
    tags = [(256, 4, (width,)), (257, 4, (height,)), (258, 3, (8,)), (259, 3, (1,)), (262, 3, (1,))]
    return [*tags, (273, 4, (0,)), (277, 3, (1,)), (278, 4, (height,))]


def _odd_names() -> Iterator[Case]:
    photo = make.picture()
    png, jpeg = make.saved(photo, "PNG"), make.saved(photo, "JPEG")
    yield "a-png-in-truth.jpg", png, OK
    yield "no-extension", jpeg, OK
    yield "twin.jpg", jpeg, OK
    yield "twin.png", png, OK
    yield "Twin.PNG", png, OK
    yield "写真 ünï.jpg", jpeg, OK
    yield "u\u0308mlaut-in-two-characters.png", png, OK
    yield "new\nline.png", png, OK
    yield 'tab\tand "quotes" \'n <b>&amp;.png', png, OK
    yield "-rf.jpg", jpeg, OK
    yield "100%25 {name} $HOME ;ls.png", png, OK
    yield "dots...png", png, OK
    yield f"{'long' * 60}.png", png, OK
