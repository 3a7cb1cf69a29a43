"""The Pillow plugin: a .tri file is an image like any other."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, UnidentifiedImageError

import triptych.pillow
from pipeline.codec.container import parse
from pipeline.core.errors import CorruptBitstream
from pipeline.metrics.psnr import psnr_db
from tests.support import icc
from tests.support.codec import codec, landscape

PIXELS = landscape(120, 170)
ALPHA = np.random.default_rng(4).integers(0, 256, PIXELS.shape[:2], dtype=np.uint8)
RGB = Image.fromarray(PIXELS)
RGBA = Image.fromarray(np.dstack([PIXELS, ALPHA]))


def saved(image: Image.Image, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "TRI", **options)
    return buffer.getvalue()


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def no_decoding(*_: object, **__: object) -> None:
    raise AssertionError("something was decoded")


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "1", "P", "CMYK"])
def test_what_was_saved_can_be_opened(mode: str) -> None:
    """Every mode comes back with its size, as grey or colour, with or without alpha, and close."""
    source = RGBA.convert(mode) if mode != "P" else RGB.quantize(200)
    image = opened(saved(source, quality=95))
    assert isinstance(image, triptych.pillow.TriImageFile)
    assert image.size == (170, 120)
    assert image.mode == {"1": "L", "P": "RGB", "CMYK": "RGB"}.get(mode, mode)
    assert image.get_format_mimetype() == "application/vnd.triptych.tri"
    expected = np.asarray(source.convert("RGB"))
    assert (psnr_db(expected, np.asarray(image.convert("RGB"))) or 99) > (8 if mode == "1" else 30)
    if "A" in mode:
        assert np.array_equal(np.asarray(image.getchannel("A")), ALPHA)


def test_the_header_is_enough_for_facts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Size, mode, profile, EXIF, preview and quality are there before anything is decoded."""
    exif = Image.Exif()
    exif[271], exif[274] = "Maker", 6
    data = saved(RGBA, quality=33, icc_profile=icc.display_p3(), exif=exif, preview=True)
    monkeypatch.setattr(triptych.pillow.TriImageFile, "_decoded", no_decoding)
    image = opened(data)
    assert (image.size, image.mode, image.format) == ((170, 120), "RGBA", "TRI")
    assert image.info["icc_profile"] == icc.display_p3()
    assert image.info["quality"] == 33
    assert (image.getexif()[271], image.getexif()[274]) == ("Maker", 1)
    assert opened(image.info["preview"]).format == "WEBP"
    with pytest.raises(AssertionError, match="decoded"):
        image.load()


def test_pixels_are_those_of_the_codec() -> None:
    """Loading twice decodes once."""
    data = saved(RGB, quality=40)
    image = opened(data)
    assert np.array_equal(np.asarray(image), codec().decode(parse(data)))
    first = image.im
    image.load()
    assert image.im is first


def test_small_thumbnails_skip_the_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Below an eighth the reduced picture is enough; above, the whole one is decoded."""
    data = saved(RGBA, quality=60)
    large = opened(data)
    large.thumbnail((64, 64))
    assert large.size == (64, 45)
    monkeypatch.setattr(type(codec()), "decode", no_decoding)
    small = opened(data)
    assert small.draft(None, (21, 15)) is not None
    assert small.size == (22, 15)
    reduced = codec().decode_reduced(parse(data))
    assert np.array_equal(np.asarray(small)[..., :3], reduced)


def test_targets_of_compress_are_options() -> None:
    """Exactly the params of the operation; a wrong one is an error before anything is written."""
    assert len(saved(RGB, max_bytes=1500)) <= 1500
    close = opened(saved(RGB, min_psnr_db=33))
    assert (psnr_db(PIXELS, np.asarray(close)) or 99) >= 33
    with pytest.raises(ValueError, match="not quality and max_bytes together"):
        saved(RGB, quality=3, max_bytes=1500)
    with pytest.raises(OSError, match="max_bytes is 20"):
        saved(RGB, max_bytes=20)


def test_a_profile_travels_by_itself_and_exif_on_request() -> None:
    """As with Pillow's own PNG and WebP."""
    source = opened(saved(RGB, icc_profile=icc.display_p3(), exif=b"Exif\0\0II*\0\x08\0\0\0\0\0"))
    assert source.info["exif"] == b"II*\0\x08\0\0\0\0\0"
    again = opened(saved(source, quality=70))
    assert again.info["icc_profile"] == icc.display_p3()
    assert "exif" not in again.info
    assert "icc_profile" not in opened(saved(source, icc_profile=None)).info


def test_damaged_files_are_errors_of_pillows_kind() -> None:
    """A damaged header is no image; damage behind it shows when pixels are needed."""
    data = saved(RGB)
    with pytest.raises(UnidentifiedImageError):
        opened(data[:30])
    with pytest.raises(UnidentifiedImageError):
        opened(data[:12] + bytes([data[12] ^ 1]) + data[13:])
    image = opened(data)
    assert isinstance(image, triptych.pillow.TriImageFile)

    def damaged(*_: object) -> None:
        raise CorruptBitstream("a tile is damaged")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(codec()), "decode", damaged)
        with pytest.raises(OSError, match="a tile is damaged"):
            image.load()


def test_pillows_guard_against_bombs_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit on pixels is the user's, as for every format."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(Image.DecompressionBombError):
        opened(saved(RGB))


def test_files_by_name(tmp_path: Path) -> None:
    """The extension is known, files are closed after loading, and the runtime is loaded for pixels only."""
    path = tmp_path / "x.tri"
    RGB.save(path, quality=50)
    code = (
        "import sys, triptych.pillow; from PIL import Image\n"
        f"image = Image.open({str(path)!r}); print(image.size, 'onnxruntime' in sys.modules)\n"
        "image.load(); print(image.fp, 'onnxruntime' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert run.stdout.split("\n")[:2] == ["(170, 120) False", "None True"]
