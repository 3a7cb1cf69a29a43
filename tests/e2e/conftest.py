"""A fleet of real processes on servers of its own, which tests may kill."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.command_line import Up, running_up
from tests.support.fleet import Fleet
from tests.support.servers import RunningS3, RunningValkey, settings_for

MakeFleet = Callable[..., Fleet]


@pytest.fixture
def make_fleet(own_valkey: RunningValkey, own_s3: RunningS3, tmp_path: Path) -> Iterator[MakeFleet]:
    """Makes a fleet with short leases (changes: any setting); all of it is gone afterwards."""
    fleets: list[Fleet] = []
    logs = tmp_path / "logs"
    logs.mkdir()
    name = "triptych-test"  # goes with the server: deleting what is in it would take longer than the test
    own_s3.place.client().make_bucket(name)
    short = {"lease_s": 4.0, "lease_max_s": 20.0, "shard_target_s": 1.0, "log_format": "text"}

    def make(**changes: object) -> Fleet:
        fleet = Fleet(settings_for(own_valkey.url, own_s3.place, name, **(short | changes)), logs)
        fleets.append(fleet)
        return fleet

    yield make
    for fleet in fleets:
        fleet.stop()


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """`triptych up` with one worker, in a home of its own."""
    with running_up(tmp_path_factory.mktemp("home"), "--workers", "1") as stack:
        yield stack
