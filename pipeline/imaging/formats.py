"""Which image format some bytes are, by their first bytes and by nothing else (names lie)."""

from __future__ import annotations

from PIL.AvifImagePlugin import AvifImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from pipeline.core.errors import UndecodableImage, UnsupportedFormat

# The allow-list. One class is called for one magic: `Image.open` would try others, and it applies
# Pillow's process-wide bomb limit instead of the item's own `Limits`.
READERS: dict[str, type[ImageFile]] = {
    "jpeg": JpegImageFile,
    "png": PngImageFile,
    "webp": WebPImageFile,
    "tiff": TiffImageFile,
    "bmp": BmpImageFile,
    "gif": GifImageFile,
    "avif": AvifImageFile,
}

# How a file of each format is called, and what it is served as.
EXTENSIONS = {**{name: f".{name}" for name in READERS}, "jpeg": ".jpg", "tiff": ".tif", "tri": ".tri"}
TYPES = {**{name: f"image/{name}" for name in READERS}, "tri": "application/vnd.triptych.tri"}

_MAGIC = {
    b"\xff\xd8\xff": "jpeg",
    b"\x89PNG\r\n\x1a\n": "png",
    b"II\x2a\x00": "tiff",
    b"MM\x00\x2a": "tiff",
    b"II\x2b\x00": "tiff",  # BigTIFF
    b"MM\x00\x2b": "tiff",
    b"GIF87a": "gif",
    b"GIF89a": "gif",
}
_BMP_HEADER_BYTES = (12, 40, 52, 56, 64, 108, 124)  # every version of the header that follows "BM"

# What is often sent by mistake, for a message that says more than "unknown".
_REFUSED = {
    b"PK\x03\x04": "a ZIP archive (or a document inside one)",
    b"%PDF": "a PDF document",
    b"8BPS": "a Photoshop document (PSD)",
    b"%!PS": "PostScript (EPS)",
    b"\xc5\xd0\xd3\xc6": "PostScript (EPS)",
    b"\x1f\x8b": "gzip-compressed data",
    b"7z\xbc\xaf\x27\x1c": "a 7-Zip archive",
    b"\x00\x00\x00\x0cjP  ": "JPEG 2000",
    b"\xff\x0a": "JPEG XL",
    b"\x00\x00\x00\x0cJXL ": "JPEG XL",
    b"\x00\x00\x01\x00": "a Windows icon (ICO)",
    b"\x1aE\xdf\xa3": "a Matroska or WebM video",
    b"P4": "a Netpbm image",
    b"P5": "a Netpbm image",
    b"P6": "a Netpbm image",
    b"qoif": "a QOI image",
    b"v/1\x01": "an OpenEXR image",
    b"\x89TRI": "a .tri file",  # whoever may decode it reads through `pipeline/inference/images.py`
}
ACCEPTED = "JPEG, PNG, WebP, TIFF, BMP, GIF and AVIF"


def sniff(data: bytes) -> str:
    """Names the format of an image from its magic bytes.

    Returns:
        A key of `READERS`: "jpeg", "png", "webp", "tiff", "bmp", "gif" or "avif".

    Raises:
        UndecodableImage: There are no bytes.
        UnsupportedFormat: They are something else; the message says what, where that is known.
    """
    if not data:
        raise UndecodableImage("the file is empty")
    for magic, name in _MAGIC.items():
        if data.startswith(magic):
            return name
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    if data[:2] == b"BM" and int.from_bytes(data[14:18], "little") in _BMP_HEADER_BYTES:
        return "bmp"
    if data[4:8] == b"ftyp" and _brands(data) & {b"avif", b"avis"}:
        return "avif"
    raise UnsupportedFormat(f"this is {_guess(data)}; accepted are {ACCEPTED}")


def _brands(data: bytes) -> set[bytes]:
    """Major and compatible brands of an ISO media file's `ftyp` box (ISO/IEC 14496-12)."""
    box = data[8 : min(int.from_bytes(data[:4], "big"), 256)]
    return {box[:4], *(box[at : at + 4] for at in range(8, len(box) - 3, 4))}


def _guess(data: bytes) -> str:
    for magic, name in _REFUSED.items():
        if data.startswith(magic):
            return name
    if data[4:8] == b"ftyp":
        return "HEIC" if _brands(data) & {b"heic", b"heix", b"mif1", b"msf1"} else "an MP4 or QuickTime video"
    head = data[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if head.startswith(b"<"):
        return "SVG" if b"<svg" in data[:4096].lower() else "HTML or XML"
    if all(byte >= 32 or byte in b"\t\r\n" for byte in head):
        return "text"
    return "not an image that Triptych knows"
