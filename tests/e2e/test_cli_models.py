"""A model of the user's own, from its checkpoint folder to captions by real workers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from tests.support import checkpoints
from tests.support.codec import landscape
from tests.support.command_line import environment, running_up, triptych


@pytest.mark.filterwarnings("ignore")  # transformers and torch's exporter warn of themselves
@pytest.mark.timeout(600)
def test_import_publish_describe(tmp_path: Path) -> None:
    """Import needs no server; then `publish`, and jobs name the model; receipts name its digest."""
    for name in ("checkpoint", "photos", "home"):
        (tmp_path / name).mkdir()
    checkpoints.blip(tmp_path / "checkpoint")
    for number in range(3):
        Image.fromarray(landscape(60, 80, seed=number)).save(tmp_path / f"photos/{number}.jpg")
    env = environment(tmp_path / "home", OMP_NUM_THREADS="1")
    made = triptych(
        "models", "import", "checkpoint", "--name", "mine", "--json", env=env, cwd=tmp_path, timeout_s=300
    )
    assert made.returncode == 0, made.stderr
    digest = json.loads(made.stdout)["digest"]
    with running_up(tmp_path / "home", "--workers", "1") as up:
        env = {**up.env, "TRIPTYCH_URL": up.url}
        early = triptych("run", "describe", "photos", "-o", "a", "--model", "mine", env=env, cwd=tmp_path)
        assert early.returncode == 2
        assert "no artifact 'mine'" in early.stderr
        published = triptych("models", "publish", "mine", env=env, cwd=tmp_path)
        assert published.returncode == 0, published.stderr
        done = triptych(
            "run",
            "describe",
            "photos",
            "-o",
            "out",
            "--model",
            "mine",
            "--write",
            "txt",
            env=env,
            cwd=tmp_path,
        )
        assert done.returncode == 0, done.stderr
        refused = triptych(
            "run",
            "describe",
            "photos",
            "-o",
            "b",
            "--model",
            "mine",
            "--preset",
            "keywords",
            env=env,
            cwd=tmp_path,
        )
        assert refused.returncode == 2
        assert "'mine' writes caption, alt_text, title" in refused.stderr
    lines = [json.loads(line) for line in (tmp_path / "out/results.jsonl").read_text().splitlines()]
    receipts = [line["receipt"] for line in lines]
    assert [receipt["model"] for receipt in receipts] == [digest] * 3
    texts = [(tmp_path / f"out/{number}.txt").read_text().strip() for number in range(3)]
    assert texts == [receipt["text"] for receipt in receipts]
    assert all(texts)
