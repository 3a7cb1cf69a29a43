"""Dockerfiles and Kubernetes manifests: pinned, hashed, unprivileged, true to the code."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from typing import Any

import pytest
import yaml

from pipeline.core.settings import Settings
from tests.support.compose import DEPLOY, dockerfile

IMAGES = {"Dockerfile.api": "api", "Dockerfile.worker": "cpu", "Dockerfile.worker-gpu": "gpu"}
SETTINGS = {f"TRIPTYCH_{field.upper()}" for field in Settings.model_fields}
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))


@pytest.mark.parametrize("name", IMAGES)
def test_image_runs_unprivileged(name: str) -> None:
    """The last stage has a numeric user that is not root, SIGTERM, a health check, a command in exec form."""
    steps = dockerfile(name)
    last = [step for step, _ in steps][::-1].index("FROM")
    final = dict(steps[-last:])
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", final["USER"])
    assert final["STOPSIGNAL"] == "SIGTERM"
    assert "CMD [" in final["HEALTHCHECK"]
    program, flag, module = json.loads(final["CMD"])
    assert (program, flag) == ("python", "-m")
    assert importlib.util.find_spec(f"{module}.__main__") is not None


@pytest.mark.parametrize("name", IMAGES)
def test_image_is_pinned_and_hashed(name: str) -> None:
    """Base images have a version, and every package comes from a hashed lock: the right one."""
    steps = dockerfile(name)
    bases = [text for step, text in steps if step == "ARG"] + [text for step, text in steps if step == "FROM"]
    assert bases[0].startswith("PYTHON_IMAGE=python:3.")
    assert all(base.startswith("${PYTHON_IMAGE}") for base in bases[1:])
    assert "latest" not in (DEPLOY / name).read_text(encoding="utf-8")
    installs = re.findall(r"pip install ([^&]*)", " && ".join(text for step, text in steps if step == "RUN"))
    assert [text.strip() for text in installs] == [
        f"--no-deps --only-binary :all: --require-hashes -r {IMAGES[name]}.txt",
        "--no-deps --only-binary :all: --require-hashes -r build.txt",
        "--no-deps --no-index dist/*.whl",
    ]
    assert ("COPY", f"requirements/build.txt requirements/{IMAGES[name]}.txt ./") in steps


@pytest.mark.parametrize("name", IMAGES)
def test_build_context_is_an_allow_list(name: str) -> None:
    """Only what is named goes in, each COPY finds its source there, and no secret can slip in."""
    lines = (DEPLOY / f"{name}.dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if not line.startswith("#")]
    assert rules[0] == "*"
    allowed = {rule[1:] for rule in rules if rule.startswith("!")}
    sources = {source for step, text in dockerfile(name) if step == "COPY" for source in text.split()[:-1]}
    sources = {source for source in sources if not source.startswith(("--from", "/venv"))}
    # The context may hold all locks; each image takes its own two.
    assert {re.sub(r"^requirements/\w+", "requirements/*", source) for source in sources} == allowed
    assert not any(".env" in rule for rule in allowed)


@pytest.mark.parametrize("name", IMAGES)
def test_image_s_settings_exist(name: str) -> None:
    """Each TRIPTYCH_* name in a Dockerfile is a setting."""
    assert set(re.findall(r"TRIPTYCH_\w+", (DEPLOY / name).read_text(encoding="utf-8"))) <= SETTINGS


@pytest.mark.parametrize("lock", ["build", *IMAGES.values()])
def test_locks_are_hashed(lock: str) -> None:
    """What an image installs is locked by hash, and the lock names no index."""
    lines = (DEPLOY.parent / "requirements" / f"{lock}.txt").read_text(encoding="utf-8").splitlines()
    text = "\n".join(line for line in lines if line and not line.lstrip().startswith("#"))
    requirements = re.split(r"\n(?=\S)", text)
    assert len(requirements) > 4
    assert all("==" in line and "--hash=sha256:" in line for line in requirements)
    assert "://" not in text


def test_control_worker_runs_in_the_api_s_image() -> None:
    """Importing the worker needs none of what only device workers have installed."""
    program = (
        "import sys\n"
        "for name in ('numpy', 'PIL', 'onnxruntime', 'numba', 'torch'): sys.modules[name] = None\n"
        "import workers.__main__\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def _documents() -> list[dict[str, Any]]:
    return [
        document for path in MANIFESTS for document in yaml.safe_load_all(path.read_text(encoding="utf-8"))
    ]


def test_manifests_name_real_settings() -> None:
    """Each TRIPTYCH_* name in a manifest is a setting, and secrets are in none of them."""
    text = "".join(path.read_text(encoding="utf-8") for path in MANIFESTS)
    assert set(re.findall(r"TRIPTYCH_\w+", text)) <= SETTINGS
    for document in _documents():
        if document["kind"] == "ConfigMap":
            assert not any(re.search("KEY|REDIS", key) for key in document["data"])
        assert document["kind"] != "Secret"


def test_deployments_are_probed_confined_and_given_time() -> None:
    """Probes, a minute of grace, no root, no writable root, limits, selectors that match, pinned images."""
    deployments = [document for document in _documents() if document["kind"] == "Deployment"]
    assert {d["metadata"]["name"] for d in deployments} == {
        "triptych-api",
        "triptych-control",
        "triptych-worker",
        "triptych-worker-gpu",
    }
    for deployment in deployments:
        pod = deployment["spec"]["template"]
        assert deployment["spec"]["selector"]["matchLabels"] == pod["metadata"]["labels"]
        assert pod["spec"]["terminationGracePeriodSeconds"] >= 60
        assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
        (container,) = pod["spec"]["containers"]
        assert {"startupProbe", "livenessProbe", "readinessProbe"} <= set(container)
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert container["resources"]["limits"]["memory"]
        assert re.fullmatch(r"triptych-[\w-]+:\d+\.\d+\.\d+", container["image"])
        mounted = {mount["name"] for mount in container["volumeMounts"]}
        assert mounted == {volume["name"] for volume in pod["spec"]["volumes"]}


def test_kustomization_lists_files_that_exist() -> None:
    """Every resource is a file; the GPU worker is left to those who have one."""
    kustomization = yaml.safe_load((DEPLOY / "kubernetes" / "kustomization.yaml").read_text(encoding="utf-8"))
    listed = set(kustomization["resources"])
    assert listed == {path.name for path in MANIFESTS} - {"kustomization.yaml", "worker-gpu.yaml"}
