"""The demo's own page: each photo as it was, compressed, painted, and in words. One HTML file, all in it."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from PIL import Image

import triptych.pillow  # noqa: F401 - from here on Pillow opens .tri files

SHOWN_PX = 360
_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>Triptych demo</title><style>
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 1180px; margin: 2rem auto; padding: 0 1rem; }}
section {{ display: grid; grid-template-columns: repeat(3, 1fr); gap: 4px 12px; margin: 0 0 1.6rem; }}
h2 {{ grid-column: 1 / -1; font-size: 1rem; margin: 0; }}
p.said {{ grid-column: 1 / -1; margin: .1rem 0 0; }} p.said i {{ font-size: .85rem; opacity: .7; margin-left:
.6rem; }} figure {{ margin: 0; }} img {{ width: 100%; height: auto; display: block; }} figcaption {{ font-
size: .85rem; opacity: .75; }} </style></head><body><h1>Triptych demo</h1> <p>Each photo as it was, decoded
from its compressed file, and painted in a style of the built-in gallery; below, what the built-in describing
model says of it. The reports of the three jobs: <a href="compressed/report.html">compressed</a>, <a
href="stylized/report.html">stylized</a>, <a href="described/report.html">described</a>.</p>
{sections}</body></html>
"""


@dataclass(frozen=True)
class Panel:
    """A picture on the page.

    Attributes:
        path: Of any format that Pillow opens, `.tri` too; None where there is no picture.
        caption: What stands below it.
    """

    path: Path | None
    caption: str


@dataclass(frozen=True)
class Row:
    """A photo on the page: its panels, and what was said of it below them."""

    name: str
    panels: Sequence[Panel]
    said: str
    tags: Sequence[str]


def write_page(path: Path, photos: Sequence[Row]) -> None:
    """Writes the page: a row of panels for each photo, by its name."""
    sections = "\n".join(
        f"<section><h2>{escape(row.name)}</h2>{''.join(map(_figure, row.panels))}{_said(row)}</section>"
        for row in photos
    )
    path.write_text(_PAGE.format(sections=sections), encoding="utf-8")


def _said(row: Row) -> str:
    tags = f"<i>{escape(', '.join(row.tags))}</i>" if row.tags else ""
    return f'<p class="said">{escape(row.said)}{tags}</p>'


def _figure(panel: Panel) -> str:
    picture = "" if panel.path is None else f'<img alt="" src="{_data_url(panel.path)}">'
    return f"<figure>{picture}<figcaption>{escape(panel.caption)}</figcaption></figure>"


def _data_url(path: Path) -> str:
    with Image.open(path) as image:
        small = image.convert("RGB")
    small.thumbnail((SHOWN_PX, SHOWN_PX))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=88)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
