"""Terms of a model, as far as its folder states them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from pipeline.core.artifact import Terms

FILES = ("LICENSE", "LICENSE.txt", "LICENSE.md", "LICENCE", "COPYING", "NOTICE", "NOTICE.txt")
UNKNOWN = "unknown: the checkpoint's folder states none"
_MOST_CHARACTERS = 200


def terms_of(folder: Path) -> Terms:
    """Licence and data sets from the front matter of README.md, else the first line of a licence file."""
    card = _front_matter(folder / "README.md")
    licence = _text(card.get("license_name")) or _text(card.get("license"))
    files = licence_files(folder)
    if not licence and files:
        licence = next((line.strip() for line in _lines(files[0]) if line.strip()), "")
    data_sets = card.get("datasets")
    return Terms(
        licence=f"weights: {licence[:_MOST_CHARACTERS]}" if licence else UNKNOWN,
        data_sets=tuple(_text(name) for name in data_sets) if isinstance(data_sets, list) else (),
        attributions=(f"imported from the checkpoint folder {folder.resolve().name!r}",),
        note="Stated by the checkpoint's folder, not checked by Triptych. Read the publisher's own licence.",
    )


def licence_files(folder: Path) -> list[Path]:
    """Those that travel with the artifact."""
    return [folder / name for name in FILES if (folder / name).is_file()]


def _front_matter(path: Path) -> dict[str, Any]:
    """The YAML between the first two lines of dashes; nothing where there is none that can be read."""
    lines = _lines(path)
    if lines[:1] != ["---"] or "---" not in lines[1:]:
        return {}
    try:
        found = yaml.safe_load("\n".join(lines[1 : lines.index("---", 1)]))
    except yaml.YAMLError:
        return {}
    return found if isinstance(found, dict) else {}


def _lines(path: Path) -> list[str]:
    try:
        return [line.rstrip() for line in path.read_text(encoding="utf-8", errors="replace").splitlines()]
    except OSError:
        return []


def _text(value: object) -> str:
    return "" if value is None else " ".join(str(value).split())
