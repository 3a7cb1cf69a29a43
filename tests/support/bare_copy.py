"""The bare loop that the pipeline is measured against: get an object, put it back, nothing else.

    python -m tests.support.bare_copy THREADS KEYS_FILE PREFIX

Reads the settings as a worker does, uses the same client with the same pool, waits for a line on standard
input, copies each key to PREFIX + key and prints when it began and when it ended, and its CPU seconds.
"""

from __future__ import annotations

import io
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pipeline.core.s3 import make_store
from pipeline.core.settings import load_settings


def main(threads: int, keys: list[str], prefix: str) -> None:
    """Copies."""
    store = make_store(load_settings())
    client, bucket = store._client, store.bucket

    def copy(key: str) -> None:
        response = client.get_object(bucket, key)
        try:
            data = response.read()
        finally:
            response.close()
            response.release_conn()
        client.put_object(bucket, prefix + key, io.BytesIO(data), len(data))

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(copy, keys[: 2 * threads]))  # connections are open when it counts
        print("ready", flush=True)
        sys.stdin.readline()
        cpu_s, began = time.process_time(), time.time()
        list(pool.map(copy, keys))
        print(began, time.time(), time.process_time() - cpu_s, flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]).read_text().split(), sys.argv[3])
