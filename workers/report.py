"""A job's report: one HTML file that needs nothing else and runs nothing. Standard library only.

Everything that came from outside (names, messages, params) is escaped; pictures are data: URIs; the CSP in
the page forbids all but its own style and those pictures. Any operation can be reported: what the page does
not know of a receipt it shows as a table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from statistics import fmean

from pipeline.core.artifact import Terms
from pipeline.core.jobs import MAX_SAMPLES, JobSpec, ResultLine, Summary
from workers.report_items import ReportRow, cards, failures
from workers.report_plot import Axis, Point, scatter
from workers.report_words import counted, duration, moment, number, plain, shown_name, size, tick

__all__ = ["ReportRow", "render_report"]

CSP = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
STYLE = Path(__file__).with_name("report.css")
MEANS = (
    ("bpp", "mean bpp", "{:.3f}"),
    ("psnr_db", "mean PSNR", "{:.1f} dB"),
    ("ms_ssim", "mean MS-SSIM", "{:.4f}"),
)
MARK = (
    '<svg class="mark" viewBox="0 0 32 19" fill="currentColor" aria-hidden="true">'
    '<rect width="8" height="19" rx="1" opacity=".45"/><rect x="10" width="12" height="19" rx="1"/>'
    '<rect x="24" width="8" height="19" rx="1" opacity=".7"/></svg>'
)


def render_report(
    summary: Summary, spec: JobSpec, rows: Iterable[ReportRow], terms: Mapping[str, Terms] | None = None
) -> str:
    """The report of a job that has ended.

    Args:
        summary: How it ended.
        spec: What was asked.
        rows: Sampled items and failed ones, in input order. At most 48 pictures and 100 errors are shown.
        terms: Of the models that were used, by name.
    """
    shown = list(rows)
    good = [row for row in shown if row.line.status == "succeeded"][:MAX_SAMPLES]
    failed = [row.line for row in shown if row.line.status == "failed"]
    operations = ", ".join(step.operation for step in spec.steps)
    body = "".join(
        (
            _header(summary, spec, operations),
            "<main>",
            _tiles(summary, [row.line for row in good]),
            _plot([row.line for row in good]),
            cards(good, summary.counts.succeeded),
            failures(failed, summary.counts.failed),
            _terms(terms or {}),
            "</main>",
            f"<footer>Triptych, {moment(summary.finished_at)}</footer>",
        )
    )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{CSP}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark"><meta name="robots" content="noindex">'
        f"<title>{escape(spec.name or operations)}: {summary.state}</title>"
        f"<style>{STYLE.read_text(encoding='utf-8')}</style></head><body>{body}</body></html>\n"
    )


# -- the top ----------------------------------------------------------------------------------------
def _header(summary: Summary, spec: JobSpec, operations: str) -> str:
    title = escape(spec.name or operations)
    asked = " then ".join(
        " ".join([step.operation, *(f"{name}={plain(value)}" for name, value in step.params.items())])
        for step in spec.steps
    )
    error = summary.error or {}
    note = (
        f'<p class="note">{escape(error.get("message", ""))} <code>{escape(error.get("code", ""))}</code></p>'
    )
    return (
        f'<header>{MARK}<h1>{title}<span class="state {summary.state}">{summary.state}</span></h1>'
        f'<p class="meta"><code>{escape(asked)}</code></p>'
        f'<p class="meta">{escape(spec.id)}, submitted {moment(summary.created_at)}</p>'
        f"{note if error else ''}</header>"
    )


def _tiles(summary: Summary, lines: Sequence[ResultLine]) -> str:
    counts = summary.counts
    tiles = [("items", f"{counts.total:,}", f"{counts.succeeded:,} succeeded")]
    if counts.failed:
        tiles.append(("failed", f"{counts.failed:,}", f"{counts.failed / counts.total:.1%} of all"))
    if counts.cancelled:
        tiles.append(("cancelled", f"{counts.cancelled:,}", ""))
    if summary.bytes_in:
        tiles.append(("bytes in", size(summary.bytes_in), ""))
    if summary.bytes_out:
        tiles.append(("bytes out", size(summary.bytes_out), ""))
    if summary.bytes_in and summary.bytes_out:
        share = summary.bytes_out / summary.bytes_in
        tiles.append(("ratio", f"{1 / share:.1f} : 1", f"{share:.1%} of the bytes"))
    for key, label, write in MEANS:
        values = [value for line in lines if (value := number(line, key)) is not None]
        if values:
            tiles.append((label, write.format(fmean(values)), f"of {len(values):,} sampled"))
    if summary.started_at is not None and summary.finished_at > summary.started_at:
        seconds = summary.finished_at - summary.started_at
        tiles.append(("time", duration(seconds), f"{counts.done / seconds:.1f} items/s"))
    cells = (
        f"<div><dt>{label}</dt><dd>{value}{f'<small>{more}</small>' if more else ''}</dd></div>"
        for label, value, more in tiles
    )
    return f'<dl class="tiles">{"".join(cells)}</dl>'


# -- the terms --------------------------------------------------------------------------------------
def _terms(terms: Mapping[str, Terms]) -> str:
    """Under which licences the models are, and whom to name."""
    if not terms:
        return ""
    rows = "".join(
        f"<tr><th>{escape(name)}</th><td>{_term(label, parts)}</td></tr>"
        for name, one in terms.items()
        for label, parts in (
            ("", (one.licence, one.note)),
            ("data: ", one.data_sets),
            ("attributions: ", one.attributions),
        )
        if any(parts)
    )
    return (
        '<h2>Terms of the models <small>what their licences ask</small></h2><div class="panel wide errors">'
        f"<table><tbody>{rows}</tbody></table></div>"
    )


def _term(label: str, parts: Sequence[str]) -> str:
    return escape(label + "; ".join(part for part in parts if part))


# -- the plot ---------------------------------------------------------------------------------------
def _plot(lines: Sequence[ResultLine]) -> str:
    """Quality against rate where both were measured, or else size out against size in."""
    rates = _points(lines, "bpp", "psnr_db", lambda x, y: f"{x:.3f} bpp, {y:.2f} dB")
    if len(rates) > 1:
        axes = Axis("bits a pixel (bpp)", tick), Axis("PSNR (dB)", tick)
        return _section("Quality and rate", f"{counted(len(rates), 'item')}", scatter(rates, *axes))
    sizes = [
        point
        for point in _points(lines, "bytes_in", "bytes_out", lambda x, y: f"{size(x)} to {size(y)}")
        if point.x > 0 and point.y > 0
    ]
    if len(sizes) > 1:
        axes = Axis("bytes in", size, log=True), Axis("bytes out", size, log=True)
        note = f"{counted(len(sizes), 'item')}; on the dashed line nothing would change"
        return _section("Size before and after", note, scatter(sizes, *axes, even=True))
    return ""


def _section(title: str, note: str, body: str) -> str:
    return f'<h2>{title} <small>{note}</small></h2><div class="panel wide">{body}</div>'


def _points(
    lines: Sequence[ResultLine], x_key: str, y_key: str, write: Callable[[float, float], str]
) -> list[Point]:
    points = []
    for line in lines:
        x, y = number(line, x_key), number(line, y_key)
        if x is not None and y is not None:
            points.append(Point(x, y, f"{shown_name(line)}: {write(x, y)}"))
    return points
