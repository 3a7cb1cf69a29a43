"""`make demo`: real photos through the whole of Triptych on this machine, by the public client alone.

Starts everything (Valkey, an S3 server, the API, workers), sends the photos, compresses them, paints each in
a style of the built-in gallery, describes each in words, fetches the results, prints what became of each
photo, and stops everything.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

from examples.demo_page import Panel, Row, write_page
from triptych import (
    ApiError,
    Client,
    Fetched,
    InlineManifestInput,
    Inputs,
    Job,
    LocalFile,
    ManifestLine,
    Unreachable,
    Upload,
)
from triptych.cli import CommandError
from triptych.local import look_at
from triptych.progress import Progress, size
from triptych.stack import temporary_stack

# Photographs that ship inside the packages scikit-image and scikit-learn.
PHOTOS = {
    "skimage/data": (
        "astronaut.png brick.png camera.png chelsea.png coffee.png coins.png grass.png gravel.png "
        "hubble_deep_field.jpg moon.png motorcycle_left.png motorcycle_right.png retina.jpg rocket.jpg"
    ),
    "sklearn/datasets/images": "china.jpg flower.jpg",
}
STYLES = ("wave", "glass", "night", "watercolour", "mosaic", "woodcut", "meadow", "charcoal")
SHOWN_TAGS, LIKELY = 6, 0.3


def main() -> int:
    """Runs the demonstration."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--photos", type=Path, required=True, help="where those packages are unpacked")
    parser.add_argument("-o", "--output", type=Path, default=Path("demo-output"))
    parser.add_argument("--quality", type=int, default=50)
    options = parser.parse_args()
    photos = [
        look_at(options.photos / folder / name, name)
        for folder, names in PHOTOS.items()
        for name in names.split()
    ]
    try:
        with temporary_stack(workers=None, say=_say) as stack, Client(stack.url) as client:
            compressed, stylized, described = _run(client, photos, options)
    except (ApiError, CommandError, Unreachable) as error:
        _say(f"demo: {error}")
        return 1
    _print_table(compressed)
    page = options.output / "index.html"
    results = [_lines(fetched) for fetched in (compressed, stylized, described)]
    write_page(page, [_row(*rows) for rows in zip(photos, *results, strict=True)])
    print(f"\n{options.output}/ has the photos, compressed, stylized and described; open the page:")
    print(f"  file://{os.path.abspath(page)}")
    every = len(photos)
    return 0 if compressed.succeeded == stylized.succeeded == described.succeeded == every else 4


def _run(
    client: Client, photos: list[LocalFile], options: argparse.Namespace
) -> tuple[Fetched, Fetched, Fetched]:
    """The three jobs, over one upload."""
    with Progress("upload") as progress:
        upload = client.upload(photos, on_progress=progress.show)
    finished = []
    for name, operation, inputs, params in (
        ("compressed", "compress", upload.inputs, {"quality": options.quality, "measure": "all"}),
        ("stylized", "stylize", _each_in_its_style(upload, photos), {"styles": [STYLES[0]]}),
        ("described", "describe", upload.inputs, {"preset": "caption"}),
    ):
        job = _job(client, operation, inputs, params)
        finished.append(client.fetch(job.id, options.output / name, inputs=photos, unsent=upload.unsent))
    return finished[0], finished[1], finished[2]


def _each_in_its_style(upload: Upload, photos: Sequence[LocalFile]) -> InlineManifestInput:
    """The files of the upload once more, as items with params of their own."""
    sent = [number for number in range(len(photos)) if number not in upload.unsent]
    return InlineManifestInput(
        items=[
            ManifestLine(custom_id=photos[number].name, input=upload.file(number), params={"styles": [style]})
            for number, style in zip(sent, cycle(STYLES), strict=False)
        ]
    )


def _job(client: Client, operation: str, inputs: Inputs, params: dict[str, Any]) -> Job:
    job = client.create_job(operation, inputs, params=params, name=f"Triptych demo: {operation}")
    with Progress(operation) as progress:
        for job in client.watch(job.id):  # noqa: B020 - the same job, as it goes on
            progress.show(job.counts.done, job.counts.total, failed=job.counts.failed)
    return job


def _lines(fetched: Fetched) -> list[dict[str, Any]]:
    """The result lines, each with the path of its file."""
    lines = map(json.loads, fetched.results.read_text(encoding="utf-8").splitlines())
    return [{**line, "path": fetched.directory / line["file"] if line["file"] else None} for line in lines]


def _row(
    photo: LocalFile, compressed: dict[str, Any], stylized: dict[str, Any], described: dict[str, Any]
) -> Row:
    """A photo on the page."""
    panels = [Panel(photo.path, f"original, {size(photo.size_bytes)}")]
    for line, words in ((compressed, _compressed), (stylized, _stylized)):
        succeeded = line["status"] == "succeeded"
        caption = words(line["receipt"]) if succeeded else line["error"]["message"]
        panels.append(Panel(line["path"], caption))
    succeeded = described["status"] == "succeeded"
    said = described["receipt"]["text"] if succeeded else described["error"]["message"]
    seen = {**described["receipt"]["classes"], **described["receipt"]["tags"]} if succeeded else {}
    tags = [name for name, score in seen.items() if score >= LIKELY][:SHOWN_TAGS]
    return Row(photo.name, panels, said, tags)


def _compressed(receipt: dict[str, Any]) -> str:
    psnr = "lossless" if receipt["psnr_db"] is None else f"{receipt['psnr_db']:.1f} dB"
    return f"compressed, {size(receipt['bytes_out'])}, {psnr}"


def _stylized(receipt: dict[str, Any]) -> str:
    return f"in the style of {', '.join(receipt['styles'])}"


def _print_table(fetched: Fetched) -> None:
    print(f"\n{'photo':<24}{'pixels':>12}{'before':>10}{'after':>10}{'bpp':>8}{'PSNR':>10}{'MS-SSIM':>10}")
    for row in _lines(fetched):
        name = row["custom_id"]
        if row["status"] != "succeeded":
            print(f"{name:<24}  {row['error']['code']}: {row['error']['message']}")
            continue
        receipt = row["receipt"]
        pixels = f"{receipt['width_px']} x {receipt['height_px']}"
        sizes = f"{size(receipt['bytes_in']):>10}{size(receipt['bytes_out']):>10}"
        psnr = "lossless" if receipt["psnr_db"] is None else f"{receipt['psnr_db']:.1f} dB"
        similarity = "-" if receipt["ms_ssim"] is None else f"{receipt['ms_ssim']:.4f}"
        print(f"{name:<24}{pixels:>12}{sizes}{receipt['bpp']:>8.3f}{psnr:>10}{similarity:>10}")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
