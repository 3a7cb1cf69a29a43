"""The pages in docs/ name settings, files and objects that exist."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from pipeline.core.operation import HandlerContext, ItemInput, resolve_handler
from pipeline.core.settings import Settings
from tests.support.image_bytes import picture, saved

ROOT = Path(__file__).resolve().parents[3]
DOCS = ROOT / "docs"
PAGES = [DOCS / "00-overview.md", DOCS / "operations-guide.md", *sorted((DOCS / "adr").glob("*.md"))]


def test_every_setting_stands_in_the_table_with_its_default() -> None:
    """Name by name and value by value, in the order of settings.py."""
    rows = re.findall(
        r"^\| `TRIPTYCH_(\w+)` \| (?:`(.*?)`)? *\|", (DOCS / "operations-guide.md").read_text(), re.M
    )

    def shown(value: object) -> str:
        plain = value.get_secret_value() if isinstance(value, SecretStr) else value
        return "" if plain is None else str(plain)

    settings = Settings(_env_file=None)  # type: ignore[call-arg]
    assert rows == [(name.upper(), shown(getattr(settings, name))) for name in Settings.model_fields]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_and_links_exist(page: Path) -> None:
    """Whatever looks like a file of this repository is one."""
    text = page.read_text()
    named = re.findall(r"`((?:api|workers|pipeline|triptych|tests|deploy|docs)/[\w./]+\.\w+)`", text)
    links = [target for target in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in target]
    assert [name for name in named if not (ROOT / name).exists()] == []
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_example_of_an_operation_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The two files on the page are what a reader may paste: they work as they stand."""
    what, how = re.findall(r"```python\n(.*?)```", (DOCS / "adding-an-operation.md").read_text(), re.S)
    for package, text in (("operations", what), ("inference", how)):
        (tmp_path / package).mkdir()
        (tmp_path / package / "grey.py").write_text(text)
        module = importlib.import_module(f"pipeline.{package}")
        monkeypatch.setattr(module, "__path__", [*module.__path__, str(tmp_path / package)])
    try:
        operation = importlib.import_module("pipeline.operations.grey").OPERATION
        handler = resolve_handler(operation)(HandlerContext("cpu", {}))
        handler.warm_up()
        out = handler.run(ItemInput(saved(picture(5, 7), "PNG"), "n", operation.params(strength=1)))
        assert (out.receipt.width_px, out.receipt.height_px) == (5, 7)  # type: ignore[attr-defined]
        assert out.data is not None
        assert out.data.startswith(b"\x89PNG")
    finally:
        for package in ("operations", "inference"):
            sys.modules.pop(f"pipeline.{package}.grey", None)
