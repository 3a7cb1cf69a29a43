"""What a huge job costs in memory: Redis holds shards, never items; API and control worker stream."""

from __future__ import annotations

import time

import httpx

from tests.e2e.conftest import MakeFleet
from tests.support.measure import peak_rss_bytes

ITEMS = 100_000
MB = 1_000_000


def test_job_of_100_000_items(make_fleet: MakeFleet) -> None:
    """100,000 no-op items: Redis stays below 20 MB above empty, API and control worker below 200 MB each."""
    fleet = make_fleet(log_format="json")
    url = fleet.api()
    fleet.workers(2)
    empty_bytes = fleet.redis.info("memory")["used_memory"]

    started_at = time.monotonic()
    inputs = {"kind": "keys", "keys": [f"in/{number:06d}.jpg" for number in range(ITEMS)]}
    answer = httpx.post(
        f"{url}/v1/jobs", json={"steps": [{"operation": "noop"}], "inputs": inputs}, timeout=60
    )
    assert answer.status_code == 202, answer.text
    job_id = answer.json()["id"]
    redis_bytes = 0
    while fleet.summary(job_id) is None:
        redis_bytes = max(redis_bytes, fleet.redis.info("memory")["used_memory"])
        httpx.get(f"{url}/v1/jobs/{job_id}/results", params={"limit": 1000}, timeout=60).raise_for_status()
        assert time.monotonic() - started_at < 120, "it takes too long"
        time.sleep(0.1)
    took_s = time.monotonic() - started_at
    fleet.assert_exact(job_id, ITEMS)
    lines, cursor, started_at = 0, "0:0", time.monotonic()
    while cursor:
        page = httpx.get(
            f"{url}/v1/jobs/{job_id}/results", params={"limit": 10_000, "cursor": cursor}, timeout=60
        )
        lines += page.raise_for_status().content.count(b"\n")
        cursor = page.headers.get("Triptych-Next-Cursor", "")
    assert lines == ITEMS
    read_s = time.monotonic() - started_at

    peaks = {name: peak_rss_bytes(fleet.pid(name)) for name in ("api", "control", "device0")}
    shown = ", ".join(f"{name} {size / MB:.0f} MB" for name, size in peaks.items())
    print(
        f"\n{ITEMS} items in {took_s:.1f} s, read in {read_s:.1f} s; "
        f"Redis +{(redis_bytes - empty_bytes) / MB:.1f} MB; peaks: {shown}"
    )
    assert redis_bytes - empty_bytes < 20 * MB
    assert peaks["api"] < 200 * MB
    assert peaks["control"] < 200 * MB
