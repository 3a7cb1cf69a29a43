"""A bulk job over photos through the whole stack, S3 to S3, against a bare loop over the same networks.

TRIPTYCH_TEST_BENCH_IMAGES names a folder of photos; without it pictures are made up.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from tests.benchmarks.conftest import StartFleet, first_begin_to_last_finish, scaled
from tests.benchmarks.in_turn import InTurn, run_in_turn
from tests.support.bare import run_together
from tests.support.codec import landscape
from tests.support.fleet import Fleet
from tests.support.image_bytes import saved
from tests.support.measure import table
from tests.support.servers import RunningS3, RunningValkey, environment

PROCESSES = os.cpu_count() or 1
LEAST = 0.85


def bulk_against_bare(
    operation: str,
    params: Mapping[str, Any],
    bare: tuple[str, str],
    *,
    start_fleet: StartFleet,
    servers: tuple[RunningS3, RunningValkey],
    directory: Path,
    photos: int = 1000,
) -> InTurn:
    """Runs a job of so many photos and the bare loop in turn, and prints what both took.

    Args:
        operation: Of the job.
        params: Of the job.
        bare: The bare loop's module, and its first argument.
        start_fleet: The fixture.
        servers: The fleet's.
        directory: For made-up photos.
        photos: Items a round.
    """
    found = photos_of(directory)
    files = [found[number % len(found)] for number in range(scaled(photos))]
    fleet = start_fleet()
    keys = put_inputs(fleet, files)
    fleet.workers(PROCESSES)
    fleet.wait(fleet.submit(operation, keys[:20], params), 120)
    stages: dict[str, float] = {}

    def job() -> float:
        job_id = fleet.submit(operation, keys, params)
        fleet.wait(job_id, 1800)
        stages.update(seconds_by_stage(fleet, job_id, len(keys)))
        return first_begin_to_last_finish(fleet, job_id)[0]

    def run_bare(_: int) -> tuple[float, float]:
        """One process a core, one thread each."""
        module, argument = bare
        arguments = [[argument, *map(str, files[first::PROCESSES])] for first in range(PROCESSES)]
        return run_together(module, arguments, environment(fleet.settings) | {"OMP_NUM_THREADS": "1"})

    pids = {"seaweedfs": servers[0].pid, "valkey": servers[1].pid}
    measured = run_in_turn(fleet, pids, len(keys), job=job, bare=run_bare)
    print(measured.shown(f"bulk {operation}: {len(keys)} photos a round, {PROCESSES} processes"))
    whole_s = sum(seconds for stage, seconds in stages.items() if stage != "fetch")
    shares = [[stage, seconds * 1e3, 100 * seconds / whole_s] for stage, seconds in stages.items()]
    print(table("receipts of the last job, mean an item", ("stage", "wall ms", "% of handler"), shares))
    return measured


def photos_of(directory: Path) -> list[Path]:
    """The photos: a folder's, or made-up ones of the same kind."""
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


def seconds_by_stage(fleet: Fleet, job_id: str, items: int) -> dict[str, float]:
    """What the receipts say: the mean wall seconds an item of each stage, other threads' time included."""
    total: dict[str, float] = defaultdict(float)
    for line in fleet.assert_exact(job_id, items):
        assert line.receipt is not None
        for stage, seconds in line.receipt["seconds"].items():
            total[stage] += seconds / items
    return dict(total)
