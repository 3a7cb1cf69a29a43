"""What importing costs, and what importing must not do."""

from __future__ import annotations

import subprocess
import sys

OURS = {"triptych", "pipeline"}
WITH_THE_TWO = {"annotated_types"}  # comes with pydantic, loaded when a model needs it
CODE = """
import sys
before = set(sys.modules)
{statement}
names = {{name.partition(".")[0] for name in set(sys.modules) - before}} - sys.stdlib_module_names
print(*sorted(name for name in names if not name.startswith("_sysconfigdata")))
"""


def loaded_by(statement: str) -> set[str]:
    """Packages that a statement loads in a fresh interpreter, those of the standard library excepted."""
    command = [sys.executable, "-c", CODE.format(statement=statement)]
    return set(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())


def test_the_client_is_httpx_and_pydantic() -> None:
    """Whatever else is loaded comes with these two."""
    with_them = loaded_by("import httpx, pydantic; httpx.AsyncClient; pydantic.BaseModel")
    assert loaded_by("import triptych, triptych.cli") <= OURS | WITH_THE_TWO | with_them


def test_no_command_loads_numpy_or_a_model_runtime() -> None:
    """Not even those that start a stack."""
    statement = "; ".join(
        f"import triptych.commands.{verb}"
        for verb in ("run", "up", "submit", "fetch", "keys", "operations", "decode", "encode")
    )
    heavy = {"numpy", "PIL", "onnxruntime", "torch", "celery", "fastapi", "minio"}
    assert not loaded_by(statement) & heavy
