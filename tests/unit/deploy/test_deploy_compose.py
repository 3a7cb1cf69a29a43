"""The Compose file: valid, closed, without secrets of its own, and true to the code that it starts."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import stat
import subprocess
import time
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from pipeline.core.settings import Settings, load_settings
from tests.support.compose import DEPLOY, VARIABLE, Unset, compose, fresh_variables, interpolated, make_env

TEXT = (DEPLOY / "compose.yaml").read_text(encoding="utf-8")
OURS = ("api", "control", "worker", "worker-gpu")
SECRET = re.compile(r"KEY|PASSWORD|SECRET|TOKEN|AUTH$")


@pytest.fixture
def rendered() -> dict[str, Any]:
    return compose(fresh_variables())


def test_valid_by_the_compose_specification(rendered: dict[str, Any]) -> None:
    """The file obeys the published schema, and the schema would notice a GPU without capabilities."""
    schema = json.loads((Path(__file__).parent / "compose-spec.json").read_text(encoding="utf-8"))
    validator = jsonschema.Draft202012Validator(schema)
    assert [error.message for error in validator.iter_errors(rendered)] == []
    del rendered["services"]["worker-gpu"]["deploy"]["resources"]["reservations"]["devices"][0][
        "capabilities"
    ]
    assert not validator.is_valid(rendered)


@pytest.mark.parametrize(
    "name", sorted({m["name"] for m in VARIABLE.finditer(TEXT) if "?" in (m["how"] or "")})
)
def test_nothing_starts_without_its_secrets(name: str) -> None:
    """make_env.py writes every variable that must be set; each one missing stops compose, by name."""
    variables = fresh_variables()
    del variables[name]
    with pytest.raises(Unset, match=f"^{name}$"):
        compose(variables)


def test_no_secret_has_a_default() -> None:
    """Whatever sounds like a secret is required, and no service holds a literal one."""
    for match in VARIABLE.finditer(TEXT):
        if match["name"] and SECRET.search(match["name"]):
            assert match["how"] == ":?", match["name"]
    one, other = compose(fresh_variables()), compose(fresh_variables())
    for name, service in one["services"].items():
        for key, value in service["environment"].items():
            if SECRET.search(key) and key != "TRIPTYCH_AUTH":
                assert value != other["services"][name]["environment"][key], (name, key)


def test_only_two_ports_are_published_and_only_to_this_host(rendered: dict[str, Any]) -> None:
    """The API and the S3 port, on loopback; brokers, filers, masters and consoles never."""
    published = {
        name: service["ports"] for name, service in rendered["services"].items() if "ports" in service
    }
    assert published == {
        "api": ["127.0.0.1:8000:8000"],
        "seaweedfs": ["127.0.0.1:9000:9000"],
        "minio": ["127.0.0.1:9000:9000"],
    }
    assert not any(
        "network_mode" in service or "privileged" in service for service in rendered["services"].values()
    )


def test_every_setting_exists(rendered: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each TRIPTYCH_* name is a setting, and the settings of each service are accepted as they stand."""
    names = {f"TRIPTYCH_{field.upper()}" for field in Settings.model_fields}
    assert set(re.findall(r"TRIPTYCH_\w+", TEXT)) <= names
    for name in OURS:
        with monkeypatch.context() as patch:
            for key, value in rendered["services"][name]["environment"].items():
                patch.setenv(key, value)
            settings = load_settings()
        assert settings.s3_url == "http://s3:9000"
        assert settings.s3_public_url is None
        assert settings.redis_url.endswith("@valkey:6379/0")
        assert settings.auth == (name == "api")
        assert settings.role == ("control" if name == "control" else "device")


def test_every_command_exists(rendered: dict[str, Any]) -> None:
    """What a Triptych service runs is a module of this repository."""
    commands = [rendered["services"][name].get("command") for name in OURS]
    assert [command for command in commands if command] == [["python", "-m", "workers"]]
    assert importlib.util.find_spec("workers.__main__") is not None


def test_triptych_processes_are_confined_and_restarted(rendered: dict[str, Any]) -> None:
    """Read-only root, no capabilities, restarted for ever, time to finish the shards in hand."""
    for name in OURS:
        service = rendered["services"][name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["restart"] == "unless-stopped"
        assert service["stop_grace_period"] == "60s"
        assert "container_name" not in service  # or it could not be scaled
        assert all(need["required"] is False for need in service["depends_on"].values())


def test_images_are_pinned_and_minio_has_none(rendered: dict[str, Any]) -> None:
    """No image floats; MinIO's is the user's own."""
    for name, service in rendered["services"].items():
        if name != "minio":
            tag = service["image"].rpartition(":")[2]
            assert tag[0].isdigit(), service["image"]
    assert rendered["services"]["minio"]["image"] == "minio-image-is-not-set-in-env"
    own = compose({**fresh_variables(), "MINIO_IMAGE": "registry.example/minio:mine"})
    assert own["services"]["minio"]["image"] == "registry.example/minio:mine"


def test_servers_start_by_profile(rendered: dict[str, Any]) -> None:
    """What make_env.py turns on exists, and every server is in the profile of its name."""
    for name in ("valkey", "seaweedfs", "minio"):
        assert rendered["services"][name]["profiles"] == [name]
    assert set(fresh_variables()["COMPOSE_PROFILES"].split(",")) == {"valkey", "seaweedfs"}
    compose({**fresh_variables(), "COMPOSE_PROFILES": ""})  # all of them elsewhere


def test_environment_file_is_private_and_never_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The secrets are the owner's alone, new each time, and a second run keeps the first one's."""
    module = make_env()
    monkeypatch.setattr(module, "TARGET", tmp_path / ".env")
    assert module.main() == 0
    first = (tmp_path / ".env").read_text(encoding="utf-8")
    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600
    assert module.main() == 1
    assert (tmp_path / ".env").read_text(encoding="utf-8") == first
    assert "left as it is" not in capsys.readouterr().out
    one, other = fresh_variables(), fresh_variables()
    secrets = [key for key in one if SECRET.search(key)]
    assert len(secrets) >= 7
    assert all(one[key] != other[key] and len(one[key]) >= 20 for key in secrets)


def test_health_check_tells_a_fresh_file_from_an_old_one(tmp_path: Path, rendered: dict[str, Any]) -> None:
    """The control worker is healthy while its file is touched, not half a minute later nor without it."""
    _, *command = rendered["services"]["control"]["healthcheck"]["test"]
    alive = tmp_path / "alive"

    def healthy() -> bool:
        run = subprocess.run(
            command,
            env={"TRIPTYCH_HEALTH_FILE": str(alive), "PATH": "/usr/bin:/bin"},
            capture_output=True,
            check=False,
        )
        return run.returncode == 0

    assert not healthy()
    alive.touch()
    assert healthy()
    old = time.time() - 40
    os.utime(alive, (old, old))
    assert not healthy()


def test_interpolation_follows_the_specification() -> None:
    """These tests fill variables in as Compose does, or they would mean nothing."""
    values = {"FULL": "x", "EMPTY": ""}
    text = "${FULL} ${EMPTY:-a} ${EMPTY-b} ${NONE-c} ${NONE} ${FULL:?m} ${EMPTY?m} $$HOME"
    assert interpolated(text, values) == "x a  c  x  $HOME"
    for required in ("${EMPTY:?m}", "${NONE?m}"):
        with pytest.raises(Unset):
            interpolated(required, values)
