"""From a checkpoint folder to an artifact: all of it, or nothing.

folder ── checks, load ── take apart ── graphs, tokenizer, licences, manifest
       ── the library's own tokens against the engine's ── rename
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from export.imported.adapter import Adapter, Parts
from export.imported.blip import BlipAdapter
from export.imported.checkpoint import Checkpoint, architecture_of, load_checkpoint
from export.imported.compare import check_numbers, check_tokens
from export.imported.florence2 import Florence2Adapter
from export.imported.idefics3 import IDEFICS3, SMOLVLM
from export.imported.licence import licence_files, terms_of
from export.imported.onnx_files import DATA, write_graph
from export.manifest import write_manifest
from pipeline.core.abilities import ABILITIES, ENGINE
from pipeline.core.errors import InvalidParams, OutputExists, UnusableCheckpoint
from pipeline.inference.imported_config import ENGINE_NAME, MODEL
from pipeline.operations import ALL
from pipeline.operations.describe import REMOTE

LAYOUT_VERSION = 1
SOURCE = "source"
TOKENIZER = "tokenizer.json"
ADAPTERS: Mapping[str, Adapter] = MappingProxyType(
    {
        adapter.architecture.__name__: adapter
        for adapter in (BlipAdapter(), Florence2Adapter(), IDEFICS3, SMOLVLM)
    }
)
_NAME = re.compile(r"^[a-z0-9][a-z0-9._-]{0,63}$", re.ASCII)


def import_model(
    folder: Path,
    out: Path | None = None,
    *,
    name: str | None = None,
    languages: Sequence[str] = ("en",),
    longest_px: int | None = None,
) -> tuple[Path, str]:
    """Turns a downloaded checkpoint into an artifact.

    Args:
        folder: The checkpoint.
        out: The artifact's directory, which must not be there; by default, its name, here.
        name: What jobs call the model; by default, the folder's name.
        languages: What the model writes, by ISO 639-1 code.
        longest_px: See `Adapter.take_apart`.

    Returns:
        The directory, and the artifact's digest.

    Raises:
        InvalidParams: The name cannot be one.
        OutputExists: Something is in the directory's place.
        UnusableCheckpoint: See `load_checkpoint`; or Triptych has no adapter for it.
        ParityError: The artifact does not write what the library writes.
    """
    name = checked_name(name or re.sub(r"[^a-z0-9._-]+", "-", folder.resolve().name.lower()).strip("-._"))
    out = out or Path(name)
    if out.exists():
        raise OutputExists(f"{out} is there already")
    adapter, checkpoint = load(folder)
    parts = adapter.take_apart(checkpoint, languages, longest_px)
    check_numbers(adapter, checkpoint, parts.config.picture)
    out.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        digest = _write(part, name, adapter, checkpoint, parts)
        part.chmod(0o755)  # mkdtemp's is the owner's alone
        _move(part, out)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return out, digest


def load(folder: Path) -> tuple[Adapter, Checkpoint]:
    """A folder's adapter, and the folder, loaded.

    Raises:
        UnusableCheckpoint: As above.
    """
    architecture = architecture_of(folder)
    if architecture not in ADAPTERS:
        raise UnusableCheckpoint(
            f"no adapter for {architecture}; there are those for {', '.join(sorted(ADAPTERS))}"
        )
    adapter = ADAPTERS[architecture]
    return adapter, load_checkpoint(folder, adapter.architecture)


def checked_name(name: str) -> str:
    """A name that a job can use, and no built-in artifact has.

    Raises:
        InvalidParams: It is none.
    """
    if not _NAME.fullmatch(name) or name.startswith("memo-"):
        raise InvalidParams(
            f"{name!r}: a model's name has small letters, digits, dots, dashes and underscores"
        )
    # Workers look some models up by how their names begin (the codecs).
    taken = [REMOTE, *(built_in for operation in ALL for built_in in operation.artifacts)]
    if name.startswith(tuple(taken)):
        raise InvalidParams(f"{name!r} begins as the name of something built in")
    return name


def weights_digests(folder: Path) -> dict[str, str]:
    """sha256 of each file of weights, by name."""
    digests = {}
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb") as file:
            digests[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
    return digests


def _write(part: Path, name: str, adapter: Adapter, checkpoint: Checkpoint, parts: Parts) -> str:
    files, graphs = {"tokenizer": TOKENIZER}, {}
    for role, graph in parts.graphs.items():
        graphs[role] = write_graph(graph, part / f"{role}.onnx")
        files[role] = f"{role}.onnx"
        if (part / f"{role}.onnx{DATA}").is_file():  # small graphs hold their weights
            files[f"{role}_data"] = f"{role}.onnx{DATA}"
    (part / TOKENIZER).write_text(checkpoint.tokenizer.backend_tokenizer.to_str(), encoding="utf-8")
    for number, path in enumerate(licence_files(checkpoint.folder)):
        shutil.copyfile(path, part / path.name)
        files[f"licence_{number}"] = path.name
    facts: dict[str, Any] = {
        "name": name,
        "version": LAYOUT_VERSION,
        "files": files,
        "graphs": graphs,
        "config": {
            ENGINE: ENGINE_NAME,
            ABILITIES: parts.abilities.model_dump(mode="json"),
            MODEL: parts.config.model_dump(mode="json"),
            SOURCE: {
                "architecture": checkpoint.architecture,
                "weights": weights_digests(checkpoint.folder),
                "longest_px": parts.config.picture.longest_px,
            },
        },
        "terms": terms_of(checkpoint.folder),
    }
    write_manifest(part, **facts)
    parity = check_tokens(adapter, checkpoint, part)
    return write_manifest(part, **facts, parity={"tokens": parity})


def _move(part: Path, out: Path) -> None:
    try:
        os.rename(part, out)
    except OSError as error:  # somebody has put something there meanwhile
        raise OutputExists(f"{out} is there already") from error
