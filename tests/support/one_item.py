"""Runs one item of an operation in a process of its own, as a worker would, and says what it took.

    python -m tests.support.one_item OPERATION PARAMS_JSON INPUT OUTPUT

Prints JSON: the receipt, CPU seconds of the item, and the most memory that the process ever had resident.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

from pipeline.core.artifact import built_in_directory
from pipeline.core.operation import HandlerContext, ItemInput, resolve_handler
from pipeline.inference.artifacts import load_directory
from pipeline.operations import Registry
from tests.support.measure import peak_rss_bytes


def main(name: str, params: str, source: Path, target: Path) -> None:
    """Runs it."""
    operation = Registry().get(name)
    artifacts = {one: load_directory(built_in_directory(one)) for one in operation.artifacts}
    handler = resolve_handler(operation)(HandlerContext("cpu", artifacts))
    handler.warm_up()
    item = ItemInput(source.read_bytes(), source.name, operation.params.model_validate_json(params))
    before = time.process_time()
    output = handler.run(item)
    cpu_s = time.process_time() - before
    assert output.data is not None
    target.write_bytes(output.data)
    receipt = output.receipt.model_dump(mode="json")
    print(json.dumps({"receipt": receipt, "cpu_s": cpu_s, "peak_bytes": peak_rss_bytes(os.getpid())}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))
