"""`triptych models publish` against a real store: there once, then found by its name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from export.manifest import write_manifest
from pipeline.core.artifact import Terms
from pipeline.core.artifact_store import fetch_artifact, newest_published
from pipeline.core.s3 import make_store
from pipeline.core.settings import Settings
from tests.support.servers import environment
from triptych.cli import main


def test_publish(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A damaged artifact is not put; a whole one is, weights beside graphs too, and twice is once."""
    for name, value in environment(settings).items():
        if name.startswith("TRIPTYCH_"):
            monkeypatch.setenv(name, value)
    made = tmp_path / "made"
    made.mkdir()
    (made / "step.onnx").write_bytes(b"graph")
    (made / "step.onnx.data").write_bytes(b"weights" * 1000)
    files = {"step": "step.onnx", "step_data": "step.onnx.data"}
    digest = write_manifest(made, files=files, name="mine", version=1, terms=Terms(licence="weights: mit"))
    store = make_store(settings)

    (made / "step.onnx.data").write_bytes(b"weightz" * 1000)
    assert main(["models", "publish", str(made)]) == 1
    assert "step.onnx.data" in capsys.readouterr().err
    assert not list(store.list("artifacts/"))

    (made / "step.onnx.data").write_bytes(b"weights" * 1000)
    for _ in range(2):
        assert main(["models", "publish", str(made), "--json"]) == 0
        assert json.loads(capsys.readouterr().out) == {"name": "mine", "digest": digest}
    assert newest_published(store, "mine") == digest
    fetched = fetch_artifact(store, "mine", digest, tmp_path / "cache")
    assert (fetched / "step.onnx.data").read_bytes() == b"weights" * 1000
    assert main(["models", "publish", str(tmp_path / "nowhere")]) == 2
