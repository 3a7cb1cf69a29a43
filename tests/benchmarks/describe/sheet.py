"""Photographs with what was written about them, to be read by a person: a PNG (English) and a page (both)."""

from __future__ import annotations

import base64
import html
import io
import textwrap
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from pipeline.inference.describe_model import State
from tests.benchmarks.describe.data import DevPhoto

COUNT, ACROSS = 40, 5
_SIDE, _TEXT = 224, 104


def write_sheets(
    photos: list[DevPhoto], english: list[str], chinese: list[str], states: list[State], output: Path
) -> None:
    """Every 25th photograph or so: not chosen, so that the sheet shows what is usual."""
    output.mkdir(parents=True, exist_ok=True)
    chosen = [i * len(photos) // COUNT for i in range(min(COUNT, len(photos)))]
    rows = -(-len(chosen) // ACROSS)
    sheet = Image.new("RGB", (ACROSS * _SIDE, rows * (_SIDE + _TEXT)), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=14)
    cells = []
    for place, i in enumerate(chosen):
        left, top = place % ACROSS * _SIDE, place // ACROSS * (_SIDE + _TEXT)
        picture = Image.fromarray(photos[i].pixels).resize((_SIDE, _SIDE))
        sheet.paste(picture, (left, top))
        draw.multiline_text((left + 4, top + _SIDE + 2), textwrap.fill(english[i], 30), "black", font)
        tags = ", ".join([*states[i].tags][:6])
        draw.text((left + 4, top + _SIDE + _TEXT - 18), tags[:30], "grey", font)
        cells.append(_cell(picture, english[i], chinese[i], tags))
    sheet.save(output / "sheet.png")
    page = '<!doctype html><meta charset="utf-8"><title>Captions</title>'
    page += (
        "<style>figure{display:inline-block;width:224px;margin:8px;vertical-align:top;font:14px sans-serif}"
    )
    (output / "sheet.html").write_text(page + "</style>" + "".join(cells), encoding="utf-8")


def _cell(picture: Image.Image, english: str, chinese: str, tags: str) -> str:
    data = io.BytesIO()
    picture.save(data, "JPEG", quality=85)
    source = base64.b64encode(data.getvalue()).decode()
    text = "<br>".join(html.escape(part) for part in (english, chinese, tags))
    return f'<figure><img src="data:image/jpeg;base64,{source}"><figcaption>{text}</figcaption></figure>\n'
