"""The built wheel holds everything: it is unpacked elsewhere and does a whole job from there."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

from tests.support.command_line import environment
from tests.support.image_bytes import picture
from tests.support.servers import ROOT

WHERE = (
    "import triptych, pipeline, workers, api, export; print(*[m.__file__ for m in (triptych, workers, api)])"
)


def test_the_wheel_does_a_job(tmp_path: Path) -> None:
    """Code, Lua scripts, style sheets, artifacts: nothing is taken from the source tree."""
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("triptych-*.whl")
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        archive.extractall(site)
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {
        "triptych",
        "pipeline",
        "workers",
        "api",
        "export",
    }
    env = {**environment(tmp_path), "PYTHONPATH": str(site)}
    found = subprocess.run(
        [sys.executable, "-c", WHERE], env=env, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert all(path.startswith(str(site)) for path in found.stdout.split())
    picture().save(tmp_path / "a.png")
    command = [sys.executable, "-m", "triptych", "run", "compress", "a.png", "-o", "out", "--workers", "1"]
    run = subprocess.run(
        command, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert run.returncode == 0, run.stderr
    assert (tmp_path / "out/a.tri").stat().st_size > 0
    assert "Content-Security-Policy" in (tmp_path / "out/report.html").read_text()
