"""`make demo`: real photos through the whole of Triptych on this machine, by the public client alone.

Starts everything (Valkey, an S3 server, the API, workers), sends the photos, follows the job, fetches the
results, prints what became of each photo, and stops everything.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from triptych import ApiError, Client, Fetched, Job, LocalFile, Unreachable
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
            job, fetched = _compress(client, photos, options)
    except (ApiError, CommandError, Unreachable) as error:
        _say(f"demo: {error}")
        return 1
    _print_table(fetched)
    print(f"\n{fetched.directory}/ has the compressed photos and results.jsonl; open the report:")
    print(f"  file://{os.path.abspath(fetched.report or fetched.directory)}")
    return 0 if job.counts.succeeded == len(photos) else 4


def _compress(client: Client, photos: list[LocalFile], options: argparse.Namespace) -> tuple[Job, Fetched]:
    with Progress("upload") as progress:
        upload = client.upload(photos, on_progress=progress.show)
    job = client.create_job(
        "compress",
        upload.inputs,
        params={"quality": options.quality, "measure": "all"},
        name="Triptych demo",
    )
    with Progress("compress") as progress:
        for job in client.watch(job.id):  # noqa: B020 - the same job, as it goes on
            progress.show(job.counts.done, job.counts.total, failed=job.counts.failed)
    return job, client.fetch(job.id, options.output, inputs=photos, unsent=upload.unsent)


def _print_table(fetched: Fetched) -> None:
    print(f"\n{'photo':<24}{'pixels':>12}{'before':>10}{'after':>10}{'bpp':>8}{'PSNR':>10}{'MS-SSIM':>10}")
    for line in fetched.results.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
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
