"""Stylizing in bulk through real workers: two styles, many pictures; a manifest with masks and mistakes."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from PIL import Image

from pipeline.core.jobs import MIN_SAMPLES, ManifestInput, ResultLine
from pipeline.core.keys import JobKeys
from tests.e2e.conftest import MakeFleet
from tests.support.codec import landscape
from tests.support.fleet import Fleet
from tests.support.stylize import gallery_path, png

ITEMS = 60
PICTURES = [png(landscape(64, 80, seed)) for seed in range(4)]
STYLE = "styles/own.jpg"


@pytest.fixture
def fleet(make_fleet: MakeFleet) -> Fleet:
    made: Fleet = make_fleet()
    for number in range(ITEMS):
        made.store.put(f"in/{number:03d}.png", PICTURES[number % len(PICTURES)])
    made.store.put(STYLE, gallery_path("glass").read_bytes())
    made.workers(2)
    return made


def receipts(lines: list[ResultLine]) -> list[dict[str, object]]:
    return [line.receipt or {} for line in lines]


def test_stylize(fleet: Fleet) -> None:
    """A blend of a gallery style and an own one: each encoded once a worker at most, then found."""
    params = {"styles": ["wave", STYLE], "format": "png"}
    job = fleet.submit("stylize", "in/", params)
    fleet.wait(job, 120)
    lines = fleet.assert_exact(job, ITEMS)
    encoded = sum(int(str(receipt["styles_encoded"])) for receipt in receipts(lines))
    assert 2 <= encoded <= 2 * 2  # two styles, by each of two workers at most
    outputs = [fleet.store.get(line.output or "") for line in lines]
    assert len(set(outputs)) == len(PICTURES)  # whichever worker painted: the same bytes
    report = fleet.store.get(JobKeys(job).report).decode()
    assert (
        report.count("<figcaption>original</figcaption>")
        == report.count("<figcaption>stylized</figcaption>")
        == MIN_SAMPLES
    )
    assert "in the style of <b>wave, " in report

    # Another job with the same styles encodes nothing at all.
    again = fleet.submit(
        "stylize", [f"in/{n:03d}.png" for n in range(8)], {"styles": ["wave", STYLE], "format": "png"}
    )
    fleet.wait(again, 60)
    assert sum(int(str(r["styles_encoded"])) for r in receipts(fleet.assert_exact(again, 8))) == 0
    assert [fleet.store.get(line.output or "") for line in fleet.results(again)] == outputs[:8]


def test_items_of_their_own(fleet: Fleet) -> None:
    """Masks and styles a line of a manifest; what is wrong with one fails that one, by its name."""
    half = np.zeros((64, 80), np.uint8)
    half[:, :40] = 255
    bodies = {"half.png": png(half), "square.png": png(half[:, :64]), "no.jpg": b"not an image"}
    for name, body in bodies.items():
        fleet.store.put(f"more/{name}", body)
    params = [
        None,
        {"mask": ["more/half.png"], "mask_feather_px": 0},
        {"mask": ["more/square.png"]},
        {"styles": ["more/no.jpg"]},
        {"styles": ["more/gone.jpg"]},
        {"styles": ["nobody"]},
    ]
    lines = [
        {"custom_id": f"{number}", "input": "in/000.png", "params": given}
        for number, given in enumerate(params)
    ]
    manifest = ManifestInput(key="in-manifest.jsonl")
    fleet.store.put(manifest.key, b"\n".join(json.dumps(line).encode() for line in lines))
    job = fleet.submit(
        "stylize", ManifestInput(key="in-manifest.jsonl"), {"styles": ["wave"], "format": "png"}
    )
    fleet.wait(job, 60)
    found = fleet.results(job)
    codes = [(line.error or {}).get("code") for line in found]
    assert codes == [None, None, "mask_mismatch", "unusable_object", "unusable_object", "invalid_params"]
    whole, masked, original = (
        np.asarray(Image.open(io.BytesIO(body)))
        for body in (*(fleet.store.get(line.output or "") for line in found[:2]), PICTURES[0])
    )
    assert np.array_equal(masked[:, 48:], original[:, 48:])
    assert np.array_equal(masked[:, :32], whole[:, :32])
