"""Bulk compression through the whole stack, S3 to S3, against a bare loop over the same codec.

TRIPTYCH_TEST_BENCH_IMAGES names a folder of photos; without it pictures are made up.
"""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path

import pytest
from PIL import Image

from tests.benchmarks.conftest import StartFleet, first_begin_to_last_finish, scaled
from tests.benchmarks.in_turn import run_in_turn
from tests.support.bare import run_together
from tests.support.codec import landscape
from tests.support.fleet import Fleet
from tests.support.image_bytes import saved
from tests.support.measure import table
from tests.support.servers import RunningS3, RunningValkey, environment

PROCESSES = os.cpu_count() or 1
QUALITY = 50
LEAST = 0.85


@pytest.mark.timeout(3600)
def test_bulk_compress(
    start_fleet: StartFleet, own_s3: RunningS3, own_valkey: RunningValkey, tmp_path: Path
) -> None:
    """A job over 1,000 photos runs at 85 % or more of the rate of decode, networks and coder alone."""
    photos = photos_of(tmp_path)
    files = [photos[number % len(photos)] for number in range(scaled(1000))]
    fleet = start_fleet()
    keys = put_inputs(fleet, files)
    fleet.workers(PROCESSES)
    fleet.wait(fleet.submit("compress", keys[:20], {"quality": QUALITY}), 120)
    servers = {"seaweedfs": own_s3.pid, "valkey": own_valkey.pid}

    stages: dict[str, float] = {}

    def job() -> float:
        job_id = fleet.submit("compress", keys, {"quality": QUALITY})
        fleet.wait(job_id, 1800)
        stages.update(seconds_by_stage(fleet, job_id, len(keys)))
        return first_begin_to_last_finish(fleet, job_id)[0]

    measured = run_in_turn(fleet, servers, len(keys), job=job, bare=lambda _: run_bare(fleet, files))
    print(measured.shown(f"bulk compress: {len(keys)} photos a round, {PROCESSES} processes"))
    whole_s = sum(seconds for stage, seconds in stages.items() if stage != "fetch")
    shares = [[stage, seconds * 1e3, 100 * seconds / whole_s] for stage, seconds in stages.items()]
    print(table("receipts of the last job, mean an item", ("stage", "wall ms", "% of handler"), shares))
    assert measured.ratio >= LEAST


def photos_of(directory: Path) -> list[Path]:
    """The photos to compress: a folder's, or made-up ones of the same kind."""
    folder = os.environ.get("TRIPTYCH_TEST_BENCH_IMAGES")
    if folder:
        return sorted(path for path in Path(folder).iterdir() if path.is_file())
    made = [directory / f"{seed}.jpg" for seed in range(10)]
    for seed, path in enumerate(made):
        path.write_bytes(saved(Image.fromarray(landscape(320, 480, seed)), "JPEG", quality=90))
    return made


def put_inputs(fleet: Fleet, files: list[Path]) -> list[str]:
    keys = [f"in/{number:06d}{path.suffix}" for number, path in enumerate(files)]
    for key, path in zip(keys, files, strict=True):
        fleet.store.put(key, path.read_bytes())
    return keys


def run_bare(fleet: Fleet, files: list[Path]) -> tuple[float, float]:
    """One process a core, one thread each: wall seconds, CPU seconds."""
    arguments = [[str(QUALITY), *map(str, files[first::PROCESSES])] for first in range(PROCESSES)]
    env = environment(fleet.settings) | {"OMP_NUM_THREADS": "1"}
    return run_together("tests.support.bare_compress", arguments, env)


def seconds_by_stage(fleet: Fleet, job_id: str, items: int) -> dict[str, float]:
    """What the receipts say: the mean wall seconds an item of each stage, other threads' time included."""
    total: dict[str, float] = defaultdict(float)
    for line in fleet.assert_exact(job_id, items):
        assert line.receipt is not None
        for stage, seconds in line.receipt["seconds"].items():
            total[stage] += seconds / items
    return dict(total)
