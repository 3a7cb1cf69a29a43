"""The demo's own page: each photo as it was, compressed, and painted. One HTML file, all in it."""

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
figure {{ margin: 0; }} img {{ width: 100%; height: auto; display: block; }}
figcaption {{ font-size: .85rem; opacity: .75; }}
</style></head><body><h1>Triptych demo</h1>
<p>Each photo as it was, decoded from its compressed file, and painted in a style of the built-in gallery.
The reports of the two jobs: <a href="compressed/report.html">compressed</a>,
<a href="stylized/report.html">stylized</a>.</p>
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


def write_page(path: Path, photos: Sequence[tuple[str, Sequence[Panel]]]) -> None:
    """Writes the page: a row of panels for each photo, by its name."""
    sections = "\n".join(
        f"<section><h2>{escape(name)}</h2>{''.join(map(_figure, panels))}</section>"
        for name, panels in photos
    )
    path.write_text(_PAGE.format(sections=sections), encoding="utf-8")


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
