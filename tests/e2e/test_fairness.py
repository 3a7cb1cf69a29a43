"""A small job behind a huge one of somebody else's does not wait for it."""

from __future__ import annotations

import statistics
import time

from tests.e2e.conftest import MakeFleet
from tests.support.fleet import Fleet

SMALL_ITEMS, LARGE_ITEMS = 10, 20_000
SECONDS = {"seconds": 0.1}


def small_job_s(fleet: Fleet, number: int) -> float:
    """Wall time of a job of ten items, from its submission to its last file."""
    started_at = time.monotonic()
    job_id = fleet.submit("sleep", [f"small/{number}/{i}" for i in range(SMALL_ITEMS)], SECONDS, owner="bob")
    fleet.wait(job_id, 60)
    return time.monotonic() - started_at


def test_small_job_behind_a_large_one(make_fleet: MakeFleet) -> None:
    """10 items behind another owner's 20,000: twice the idle time and three median shards at most."""
    fleet = make_fleet(log_format="json")
    fleet.workers(2)
    idle_s = statistics.median(small_job_s(fleet, number) for number in range(3))

    large = fleet.submit("sleep", [f"large/{i}" for i in range(LARGE_ITEMS)], SECONDS, owner="ann")
    fleet.wait_done(large, 1, 60)
    behind_s = [small_job_s(fleet, number) for number in range(3, 8)]
    view = fleet.view(large)
    shard_s = statistics.median(
        one["seconds"] for one in fleet.events("device", "shard.finished") if one["job"] == large
    )
    fleet.ledger.cancel(large, "cancelled")
    fleet.wait(large, 60)

    bound_s = 2 * idle_s + 3 * shard_s
    shown = ", ".join(f"{seconds:.2f}" for seconds in behind_s)
    print(
        f"\nidle {idle_s:.2f} s; large job's median shard {shard_s:.2f} s; "
        f"behind it {shown} s; bound {bound_s:.2f}"
    )
    assert view is not None
    assert view.counts.total == LARGE_ITEMS
    assert view.waiting > 0, "the large job was not in the way"
    assert max(behind_s) < bound_s
