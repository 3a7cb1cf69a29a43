"""A checkpoint folder as its publisher lays it out, read on this machine and trusted with nothing.

Nothing is downloaded, no code of the folder runs, no pickle is opened; a weight that the model does not know,
or that the folder does not have, is an error.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import SafetensorError
from tokenizers import Tokenizer
from transformers import AutoImageProcessor, AutoModelForImageTextToText, AutoTokenizer

from pipeline.core.errors import UnusableCheckpoint

CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
PREPROCESSOR, PROCESSOR = "preprocessor_config.json", "processor_config.json"
# Positions 0, 1, 2, ... that older versions of the library saved: no weights.
_NO_WEIGHT = re.compile(r"(^|\.)position_ids$")


@dataclass(frozen=True)
class Checkpoint:
    """A folder, loaded.

    Attributes:
        folder: Where it lies.
        architecture: The name of the model's class.
        model: In evaluation mode, float32.
        tokenizer: The library's.
        image_processor: The library's, Pillow's variant.
    """

    folder: Path
    architecture: str
    model: Any
    tokenizer: Any
    image_processor: Any


def architecture_of(folder: Path) -> str:
    """The class that a folder's config names.

    Raises:
        UnusableCheckpoint: There is no config that can be read, it names no class, or code of its own.
    """
    if not folder.is_dir():
        raise UnusableCheckpoint(f"{folder} is not a folder")
    config = read_json(folder / CONFIG)
    if "auto_map" in config:
        raise UnusableCheckpoint(
            f"{CONFIG} wants code from the folder to be run (auto_map), which Triptych does not do; take a"
            " checkpoint that was converted to the library's own classes (of Florence-2, those of"
            " florence-community)"
        )
    names = config.get("architectures")
    if not isinstance(names, list) or len(names) != 1 or not isinstance(names[0], str):
        raise UnusableCheckpoint(f"{CONFIG} does not name one architecture")
    return names[0]


def load_checkpoint(folder: Path, known: type[Any]) -> Checkpoint:
    """Loads model, tokenizer and image processor from a folder.

    Args:
        folder: The checkpoint.
        known: The class that it must be of.

    Raises:
        UnusableCheckpoint: A file is missing, damaged or renamed, or weights and config do not fit.
    """
    _check_files(folder)
    with _as_unusable(folder):
        model, report = AutoModelForImageTextToText.from_pretrained(
            folder,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            dtype=torch.float32,
            ignore_mismatched_sizes=True,  # they are in the report, by name
            output_loading_info=True,
        )
        _check_report(report)
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        processor = AutoImageProcessor.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, backend="pil"
        )
    if type(model) is not known:
        raise UnusableCheckpoint(f"{CONFIG} was read as {type(model).__name__}, not {known.__name__}")
    if not isinstance(getattr(tokenizer, "backend_tokenizer", None), Tokenizer):
        raise UnusableCheckpoint("the tokenizer is not one that tokenizer.json can describe")
    return Checkpoint(folder, known.__name__, model.eval(), tokenizer, processor)


def read_json(path: Path) -> dict[str, Any]:
    """An object from a file.

    Raises:
        UnusableCheckpoint: There is none, or it is no JSON object.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UnusableCheckpoint(f"{path.name} is missing") from None
    except (OSError, ValueError) as error:
        raise UnusableCheckpoint(f"{path.name} cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise UnusableCheckpoint(f"{path.name} is not an object")
    return found


def _check_files(folder: Path) -> None:
    """The library would look for some of these under other names, or do without."""
    for name in ("tokenizer_config.json", "tokenizer.json"):
        if not (folder / name).is_file():
            raise UnusableCheckpoint(f"{name} is missing")
    if not (folder / PREPROCESSOR).is_file() and not _is_in_processor(folder):
        raise UnusableCheckpoint(f"{PREPROCESSOR} is missing")
    if (folder / INDEX).is_file():
        names = read_json(folder / INDEX).get("weight_map")
        shards = set(names.values()) if isinstance(names, dict) else set()
        missing = sorted(str(name) for name in shards if not (folder / str(name)).is_file())
        if missing or not shards:
            raise UnusableCheckpoint(f"weights are missing: {', '.join(missing) or INDEX + ' names none'}")
    elif not (folder / WEIGHTS).is_file():
        raise UnusableCheckpoint(
            f"{WEIGHTS} is missing (pickled weights are not opened: they could run code; convert them)"
        )


def _is_in_processor(folder: Path) -> bool:
    """Whether the image processor's values stand in the file of all processors (version 5 of the library)."""
    path = folder / PROCESSOR
    return path.is_file() and "image_processor" in read_json(path)


def _check_report(report: dict[str, Any]) -> None:
    unexpected = {str(name) for name in report["unexpected_keys"] if not _NO_WEIGHT.search(str(name))}
    for what, names in (
        ("the folder lacks weights", report["missing_keys"]),
        ("the folder has weights that the model does not know", unexpected),
        ("weights have other shapes than the config says", report["mismatched_keys"]),
        ("weights could not be loaded", report["error_msgs"]),
    ):
        if names:
            shown = sorted(str(name) for name in names)
            more = f" and {len(shown) - 3} more" if len(shown) > 3 else ""
            raise UnusableCheckpoint(f"{what}: {', '.join(shown[:3])}{more}")


@contextmanager
def _as_unusable(folder: Path) -> Iterator[None]:
    """What the library says of files that it cannot use, as our error; it has no class of its own for it."""
    before = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    try:
        yield
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise UnusableCheckpoint(f"{folder.name} cannot be loaded: {lines[0]}") from error
    except Exception as error:  # huggingface_hub's own checks of configs, tokenizers' plain Exception
        if type(error) is Exception or type(error).__module__.startswith(("huggingface_hub", "transformers")):
            raise UnusableCheckpoint(f"{folder.name} cannot be loaded: {error}") from error
        raise
    finally:
        transformers.logging.set_verbosity(before)
        transformers.logging.enable_progress_bar()
