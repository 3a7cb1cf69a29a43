"""The report's items: a card with pictures and facts for each that went well, a table of the others."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from pipeline.core.jobs import ResultLine
from workers.report_words import flat, number, plain, shown_name, size

MAX_ERRORS = 100
ROLES = ("before", "after")  # these first, in this order
# Shown in a card's line of facts, so not again in its table.
IN_LINE = (
    *("width_px", "height_px", "bytes_in", "bytes_out", "bpp", "ratio"),
    *("measured", "psnr_db", "ms_ssim", "kept_original", "styles", "alpha", "beta"),
)
# Of a receipt that has a text: shown above the facts, or of no use to a reader.
WITH_TEXT = ("text", "sound_text", "tags", "embedding", "score", "truncated", "language", "kind")
SHOWN_TAGS = 8
LIKELY = 0.3


@dataclass(frozen=True)
class ReportRow:
    """An item to show.

    Attributes:
        line: Its result.
        previews: Small pictures (WebP, JPEG or PNG bytes) by role; "before" and "after" stand first.
    """

    line: ResultLine
    previews: Mapping[str, bytes]


def cards(rows: Sequence[ReportRow], succeeded: int) -> str:
    """Items that succeeded, with their pictures; `succeeded` is how many there are in all."""
    if not rows:
        return ""
    note = f"{len(rows):,} of {succeeded:,}" if len(rows) < succeeded else f"{succeeded:,}"
    return f'<h2>Items <small>{note}</small></h2><div class="cards">{"".join(map(_card, rows))}</div>'


def _card(row: ReportRow) -> str:
    receipt = row.line.receipt or {}
    shown = (*IN_LINE, *(WITH_TEXT if "text" in receipt else ()))
    rest = {name: value for name, value in receipt.items() if name not in shown and value not in ([], None)}
    table = "".join(
        f"<tr><th>{escape(name)}</th><td>{escape(plain(value))}</td></tr>"
        for name, value in flat(rest).items()
    )
    more = f"<details><summary>receipt</summary><table>{table}</table></details>" if table else ""
    facts = "".join(f"<li>{fact}</li>" for fact in _facts(row.line))
    return (
        f'<article class="card">{_pictures(row)}<h3>{escape(shown_name(row.line))}{_pixels(row.line)}</h3>'
        f'{_words(receipt)}<ul class="facts">{facts}</ul>{more}</article>'
    )


def _words(receipt: Mapping[str, Any]) -> str:
    """A description, its tags below it."""
    text = receipt.get("text")
    if not isinstance(text, str):
        return ""
    language = escape(str(receipt.get("language", "")))
    heard = receipt.get("sound_text")
    said = "".join(f"<p>{escape(one)}</p>" for one in (text, heard) if isinstance(one, str) and one)
    chips = "".join(f"<li>{escape(name)}</li>" for name in _named(receipt)[:SHOWN_TAGS])
    listed = f'<ul class="tags">{chips}</ul>' if chips else ""
    return f'<blockquote lang="{language}">{said}{listed}</blockquote>'


def _named(receipt: Mapping[str, Any]) -> list[str]:
    """Tags, and classes that are likely, by score."""
    names = dict(receipt.get("tags") or {})
    for kind in ("classes", "sounds"):
        names.update({name: one for name, one in (receipt.get(kind) or {}).items() if one >= LIKELY})
    return sorted(map(str, names), key=lambda name: -float(names[name]))


def _pixels(line: ResultLine) -> str:
    width, height = number(line, "width_px"), number(line, "height_px")
    if width is None or height is None:
        return ""
    return f' <span class="soft">{width:.0f} x {height:.0f}</span>'


def _pictures(row: ReportRow) -> str:
    roles = [role for role in ROLES if role in row.previews] + sorted(set(row.previews) - set(ROLES))
    labels = {"before": "original", "after": _made(row.line.receipt or {})}
    figures = [
        f'<figure><img alt="{escape(labels.get(role, role))}" loading="lazy" '
        f'src="data:{kind};base64,{base64.b64encode(row.previews[role]).decode()}">'
        f"<figcaption>{escape(labels.get(role, role))}</figcaption></figure>"
        for role in roles
        if (kind := _image_type(row.previews[role]))
    ]
    return f'<div class="pair">{"".join(figures)}</div>' if figures else ""


def _made(receipt: Mapping[str, Any]) -> str:
    """What to call the picture that came out."""
    return "decoded" if "bpp" in receipt else "stylized" if "styles" in receipt else "result"


def _image_type(data: bytes) -> str:
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    if data[:3] == b"\xff\xd8\xff":
        return "image/jpeg"
    return "image/png" if data[:8] == b"\x89PNG\r\n\x1a\n" else ""


def _facts(line: ResultLine) -> list[str]:
    """What is known of an item, in the order in which it is read."""
    receipt, facts = line.receipt or {}, []
    before, after = number(line, "bytes_in"), number(line, "bytes_out")
    if before is not None and after is not None:
        facts.append(f"{size(before)} to <b>{size(after)}</b>")
    elif after is not None:
        facts.append(f"<b>{size(after)}</b>")
    bpp, psnr_db, ms_ssim = (number(line, key) for key in ("bpp", "psnr_db", "ms_ssim"))
    if bpp is not None:
        facts.append(f"<b>{bpp:.3f}</b> bpp")
    if psnr_db is not None:
        facts.append(f"<b>{psnr_db:.2f}</b> dB")
    elif "psnr_db" in receipt and receipt["psnr_db"] is None and receipt.get("measured", True):
        facts.append("<b>lossless</b>")
    if ms_ssim is not None:
        facts.append(f"MS-SSIM <b>{ms_ssim:.4f}</b>")
    facts += _facts_of_text(line)
    if receipt.get("kept_original"):
        facts.append("<b>original kept</b>")
    if isinstance(styles := receipt.get("styles"), list):
        facts.append(f"in the style of <b>{escape(', '.join(map(str, styles)))}</b>")
        facts += [f"{name} <b>{plain(receipt[name])}</b>" for name in ("alpha", "beta") if name in receipt]
    return facts


def _facts_of_text(line: ResultLine) -> list[str]:
    """What is known of a description."""
    receipt = line.receipt or {}
    score = number(line, "score") if "text" in receipt else None
    said = [] if score is None else [f"score <b>{score:.2f}</b>"]
    return [*said, "<b>cut</b>"] if receipt.get("truncated") is True else said


def failures(lines: Sequence[ResultLine], failed: int) -> str:
    """Items that failed, by code and one by one; `failed` is how many there are in all."""
    if not lines:
        return ""
    codes = Counter((line.error or {}).get("code", "") for line in lines)
    listed = lines[:MAX_ERRORS]
    note = f"{len(listed):,} of {failed:,}" if len(listed) < failed else f"{failed:,}"
    summary = "".join(f"<li><code>{escape(code)}</code> {many:,}</li>" for code, many in codes.most_common())
    if len(lines) < failed:
        summary += f'<li class="soft">among the {len(lines):,} looked at</li>'
    body = "".join(map(_failure, listed))
    return (
        f'<h2>Failures <small>{note}</small></h2><ul class="codes errors">{summary}</ul>'
        '<div class="panel wide errors"><table><thead><tr><th>item</th><th>code</th><th>why</th></tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _failure(line: ResultLine) -> str:
    error = line.error or {}
    code, message = escape(error.get("code", "")), escape(error.get("message", ""))
    return f"<tr><td>{escape(shown_name(line))}</td><td><code>{code}</code></td><td>{message}</td></tr>"
