"""The report: everything in one page, nothing from outside runs, any operation fits."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree

import pytest

from pipeline.core.artifact import Terms
from pipeline.core.jobs import Counts, JobSpec, JobState, ResultLine, Step, Summary, UploadInput
from workers.report import ReportRow, render_report
from workers.report_plot import Axis, Point, scatter
from workers.report_words import duration, size

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
VOID = {"meta", "img", "link", "br", "hr", "input"}


class Page(HTMLParser):
    """Collects tags, texts and attributes, and checks that tags nest."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(self.texts)


def page(
    rows: list[ReportRow],
    *,
    name: str = "",
    operation: str = "compress",
    terms: dict[str, Terms] | None = None,
    **changes: Any,
) -> Page:
    good = sum(row.line.status == "succeeded" for row in rows)
    bad = sum(row.line.status == "failed" for row in rows)
    fields: dict[str, Any] = {
        "state": JobState.COMPLETED,
        "counts": Counts(total=good + bad, succeeded=good, failed=bad),
        "created_at": 1_750_000_000.0,
        "started_at": 1_750_000_001.0,
        "finished_at": 1_750_000_005.0,
        "bytes_in": 1000,
        "bytes_out": 100,
        **changes,
    }
    spec = JobSpec(
        id="job_" + "0" * 32,
        owner="ann",
        created_at=0,
        steps=[Step(operation=operation, params={"quality": 50})],
        inputs=UploadInput(upload_id="upl_1"),
        artifacts={},
        queue="q",
        name=name,
        read_prefixes=[],
        write_prefixes=[],
        request_sha256="",
    )
    return Page(render_report(Summary(**fields), spec, rows, terms))


def good(
    index: int, name: str = "a.png", previews: dict[str, bytes] | None = None, **receipt: Any
) -> ReportRow:
    line = ResultLine(index=index, custom_id=name, status="succeeded", receipt=receipt)
    return ReportRow(line, previews or {})


def bad(
    index: int, code: str = "undecodable_image", message: str = "cut short", name: str = "b"
) -> ReportRow:
    error = {"code": code, "message": message}
    return ReportRow(ResultLine(index=index, custom_id=name, status="failed", error=error), {})


COMPRESSED = {"bytes_in": 800, "bytes_out": 80, "bpp": 0.5, "psnr_db": 33.25, "width_px": 10, "height_px": 20}


def test_totals_and_the_facts_of_each_item() -> None:
    """Items, bytes, ratio, means, time; size, bpp and PSNR of each."""
    text = page([good(0, **COMPRESSED), good(1, **{**COMPRESSED, "bpp": 0.7})]).text
    for fact in (
        "1.00 kB",
        "100 B",
        "10.0 : 1",
        "0.600",
        "33.2 dB",
        "4.0 s",
        "0.5 items/s",
        "10 x 20",
        "33.25",
    ):
        assert fact in text, fact


def test_pictures_are_in_the_page() -> None:
    """Original beside decoded, as data: URIs with their own type; what is no picture is left out."""
    row = good(0, previews={"after": b"RIFF0000WEBPxx", "before": PNG, "other": b"<svg>"}, **COMPRESSED)
    shown = page([row])
    sources = [attrs["src"] for tag, attrs in shown.tags if tag == "img"]
    assert sources == [
        "data:image/png;base64," + base64.b64encode(PNG).decode(),
        "data:image/webp;base64," + base64.b64encode(b"RIFF0000WEBPxx").decode(),
    ]
    assert shown.text.index("original") < shown.text.index("decoded")


def test_nothing_from_outside_becomes_markup() -> None:
    """Names, messages, codes, params, receipts and roles are text, whatever they hold."""
    evil = "<script>alert(1)</script>\"'&<img src=x onerror=alert(1)>"
    rows = [
        good(0, evil, {evil: PNG}, caption=evil, **{evil: evil}, **COMPRESSED),
        good(1, "\ud800lone", **COMPRESSED),
        bad(2, evil, evil, evil),
    ]
    shown = page(rows, name=evil, error={"code": evil, "message": evil})
    assert not [tag for tag, _ in shown.tags if tag in ("script", "iframe", "object", "link", "base", "form")]
    assert not [attrs for _, attrs in shown.tags if any(name.startswith("on") for name in attrs)]
    assert all(str(attrs["src"]).startswith("data:image/") for tag, attrs in shown.tags if tag == "img")
    assert evil in shown.text


def test_the_page_forbids_itself_everything_else() -> None:
    """A content security policy in the page; no address of anything outside it."""
    shown = page([good(0, previews={"before": PNG}, **COMPRESSED), good(1, **COMPRESSED)])
    policy = [
        attrs["content"] for tag, attrs in shown.tags if attrs.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]
    for _, attrs in shown.tags:
        for name in ("src", "href", "action", "data", "poster"):
            assert not attrs.get(name) or str(attrs[name]).startswith("data:")
    assert "url(" not in shown.text
    assert "@import" not in shown.text


def test_failures_by_code_and_the_first_hundred_of_them() -> None:
    """A table of item, code and reason; how many of each code; no more than a hundred rows."""
    rows = [bad(index, "a_code" if index % 3 else "b_code", f"reason {index}") for index in range(150)]
    shown = page(rows)
    assert "reason 99" in shown.text
    assert "reason 100" not in shown.text
    assert re.search(r"a_code\s+100 b_code\s+50", re.sub(r"\s+", " ", shown.text))
    assert "100 of 150" in shown.text


def test_at_most_48_items_are_shown() -> None:
    """Of however many."""
    shown = page([good(index, **COMPRESSED) for index in range(60)])
    assert sum(tag == "article" for tag, _ in shown.tags) == 48
    assert "48 of 60" in shown.text


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [good(0)],
        [bad(0)],
        [good(0, caption="a cat", tokens={"in": 3, "out": [1, 2]}, score=0.123456789)],
        [good(0, bpp=float("nan"), psnr_db=float("inf"), bytes_in=True, bytes_out="x")] * 2,
        [good(0, **{**COMPRESSED, "psnr_db": None})] * 2,
        [good(0, bytes_in=0, bytes_out=0)] * 2,
        [good(0, **COMPRESSED)] * 3,
        [good(0, bytes_in=10**12, bytes_out=1), good(1, bytes_in=1, bytes_out=10**9)],
    ],
)
def test_any_job_has_a_page(rows: list[ReportRow]) -> None:
    """Empty, failed, other operations, odd numbers: well-formed, and what is known is shown."""
    shown = page(rows, operation="describe", started_at=None, bytes_in=0, bytes_out=0)
    for row in rows:
        for name, value in (row.line.receipt or {}).items():
            if name in ("caption", "score"):
                assert name in shown.text
                assert (value if isinstance(value, str) else f"{value:.6g}") in shown.text


def test_descriptions_stand_under_their_pictures() -> None:
    """Text, what is heard, tags and likely classes by score; embeddings are for programs."""
    receipt = {
        "kind": "image+sound",
        "text": "A <dog>.",
        "sound_text": "It barks.",
        "language": "en",
        "tags": {"dog": 0.5, "grass": 0.4},
        "classes": {"beagle": 0.9, "fox": 0.1},
        "sounds": {"Bark": 0.45},
        "score": 0.25,
        "truncated": True,
        "embedding": [0.123, 0.456],
    }
    shown = page([good(0, **receipt)], operation="describe")
    text = re.sub(r"\s+", " ", shown.text)
    assert "A <dog>. It barks. beagle dog Bark grass score 0.25 cut" in text
    assert "0.123" not in text
    assert "score" not in page([good(0, **{**receipt, "score": None})]).text.split("It barks.")[1]


def test_terms_stand_at_the_end() -> None:
    """Of each model that was used; they are text, whatever they hold."""
    terms = {"net": Terms(licence="<b>", note="Ask.", data_sets=("a", "b"), attributions=("Ann",))}
    shown = page([good(0)], operation="describe", terms=terms).text
    for words in ("Terms of the models", "<b>; Ask.", "data: a; b", "attributions: Ann"):
        assert words in shown
    assert "Terms of the models" not in page([good(0)], operation="describe").text


def test_a_lossless_item_says_so() -> None:
    """Its PSNR is no number."""
    assert "lossless" in page([good(0, **{**COMPRESSED, "psnr_db": None})]).text
    assert "lossless" in page([good(0, **{**COMPRESSED, "psnr_db": None, "measured": True})]).text


def test_what_was_not_measured_is_not_called_lossless() -> None:
    """A PSNR that nobody measured is left out."""
    assert "lossless" not in page([good(0, **{**COMPRESSED, "psnr_db": None, "measured": False})]).text


def test_a_kept_original_says_so() -> None:
    """It has no PSNR, but a word of its own."""
    text = page([good(0, **{**COMPRESSED, "psnr_db": None, "measured": False, "kept_original": True})]).text
    assert "original kept" in text
    assert "lossless" not in text


def test_ms_ssim_is_shown_beside_psnr() -> None:
    """On the item and as a mean."""
    text = page([good(number, **COMPRESSED, ms_ssim=0.95 + number / 100) for number in range(2)]).text
    for shown in ("0.9500", "0.9600", "mean MS-SSIM", "0.9550"):
        assert shown in text


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("values", [(1.0, 1.0), (0.5, 900.0), (1e-3, 1e12), (5.0, 5.0000001), (99.0, 101.0)])
def test_the_plot_is_well_formed_and_every_point_is_on_it(values: tuple[float, float], log: bool) -> None:
    """Whatever the range, linear or logarithmic."""
    points = [Point(value, other, "<p>") for value in values for other in values]
    axis = Axis("x < y", lambda value: f"{value:g}", log=log)
    svg = ElementTree.fromstring(scatter(points, axis, axis, even=True))
    circles = [(float(c.attrib["cx"]), float(c.attrib["cy"])) for c in svg.iter("circle")]
    _, _, width, height = map(float, svg.attrib["viewBox"].split())
    assert len(circles) == 4
    assert all(0 < x < width and 0 < y < height for x, y in circles)
    assert circles[0][0] <= circles[-1][0]
    assert circles[0][1] >= circles[-1][1]
    assert len([line for line in svg.iter("line") if line.attrib["class"] == "grid"]) <= 30


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999.4, "999 B"), (999.6, "1.00 kB"), (12_345, "12.3 kB"), (5e15, "5000 TB")],
)
def test_sizes_have_three_digits(count: float, text: str) -> None:
    """And never a power of ten."""
    assert size(count) == text


@pytest.mark.parametrize(("seconds", "text"), [(0.04, "0.0 s"), (61, "1 min 1 s"), (7300, "2 h 1 min")])
def test_durations(seconds: float, text: str) -> None:
    """As people say them."""
    assert duration(seconds) == text
