"""Writes the locks of this folder from pyproject.toml: `make lock`. Needs uv.

Every lock is a part of one resolution, so that they fit together; `pip install --no-deps` of a lock is
complete. No lock names an index: pip takes what the reader has configured.

torch stands in train*.txt only. Its builds for CUDA, which registries give to Linux, need packages of
several gigabytes: those are in train-cuda.txt, installed only where torch cannot be imported without them.
The CPU build for CPython 3.11 on Linux x86-64 has the same version with "+cpu" behind it, and another hash.
pip prefers a file whose hash it knows beforehand, so it would not take that build from a plain folder of
wheels (`find-links`) while train.txt knows the registry's. train-cpu.txt, tried first and with such folders
only, makes it.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parent / "pyproject.toml"
TORCH = "torch==2.13.0"
TORCH_CPU = "sha256:6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b"
CUDA = re.compile(r"^(nvidia-|cuda-|triton)")
LOCKS = {
    "client": [],
    "api": ["--extra", "api"],
    "cpu": ["--extra", "cpu"],
    "gpu": ["--extra", "gpu"],
    "embedded": ["--extra", "embedded"],
    "bench": ["--only-group", "bench"],
    "build": ["--only-group", "build"],
    "check": ["--only-group", "check"],
    "demo": ["--only-group", "demo", "--no-deps"],
    "test": ["--extra", "embedded", "--group", "test"],
    "train": ["--extra", "train", "--extra", "export"],
}
OTHERS = {"bench", "build", "check", "demo", "test"}


def main() -> int:
    """Resolves everything together, then writes each part."""
    with tempfile.TemporaryDirectory() as scratch:
        together = Path(scratch) / "together.txt"
        groups = [text for name in OTHERS for text in ("--group", name)]
        compile_lock(together, ["--all-extras", *groups])
        for name, options in LOCKS.items():
            target = HERE / f"{name}.txt"
            compile_lock(target, [*options, "--constraint", str(together)])
            if name == "train":
                split_torch(target)
            print(target.relative_to(PROJECT.parent))
    return 0


def compile_lock(target: Path, options: list[str]) -> None:
    """Resolves for every platform and Python from 3.11 on."""
    command = ["uv", "pip", "compile", "--quiet", "--universal", "--python-version", "3.11", "--upgrade"]
    command += ["--generate-hashes", "--no-emit-index-url", "--no-annotate"]
    command += ["--custom-compile-command", "make lock"]
    only = "--only-group" in options
    options = ["--group" if option == "--only-group" else option for option in options]
    sources = [] if only else [str(PROJECT)]
    subprocess.run(
        [*command, *sources, *options, "--output-file", str(target)], check=True, cwd=PROJECT.parent
    )


def split_torch(target: Path) -> None:
    """Moves what only CUDA builds need to train-cuda.txt, and admits the CPU build."""
    head, *blocks = re.split(r"^(?=[a-z0-9])", target.read_text(), flags=re.MULTILINE)
    cuda = [block for block in blocks if CUDA.match(block)]
    rest = [block for block in blocks if not CUDA.match(block)]
    at = next(place for place, block in enumerate(rest) if block.startswith(f"{TORCH} "))
    rest[at] = f"{rest[at].rstrip()} \\\n    --hash={TORCH_CPU}\n"
    target.write_text(head + "".join(rest))
    (HERE / "train-cpu.txt").write_text(f"{head}{TORCH} \\\n    --hash={TORCH_CPU}\n")
    (HERE / "train-cuda.txt").write_text(head + "".join(cuda))


if __name__ == "__main__":
    sys.exit(main())
