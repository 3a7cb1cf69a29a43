"""Settings: typed, from the environment and .env, and an error that names what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from kombu.utils.url import url_to_parts
from redis.connection import parse_url as parse_redis_url

from pipeline.core.settings import Settings, SettingsError, load_settings


def test_the_defaults_stand_without_an_environment() -> None:
    """Nothing needs to be set, and nothing is read at import."""
    settings = load_settings()
    assert (settings.api_host, settings.auth) == ("127.0.0.1", False)
    assert settings.visibility_timeout_s > settings.lease_max_s


def test_the_environment_is_read_by_each_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable set after import counts; an empty one is as good as none."""
    monkeypatch.setenv("TRIPTYCH_API_PORT", "8123")
    monkeypatch.setenv("TRIPTYCH_S3_BUCKET", "")
    monkeypatch.setenv("TRIPTYCH_UNKNOWN", "1")
    settings = load_settings()
    assert (settings.api_port, settings.s3_bucket) == (8123, "triptych")


def test_a_file_is_read_and_the_environment_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """.env sets what the environment does not."""
    file = tmp_path / ".env"
    file.write_text("TRIPTYCH_API_PORT=8001\nTRIPTYCH_LOG_LEVEL=debug\n")
    monkeypatch.setenv("TRIPTYCH_API_PORT", "8002")
    settings = load_settings(_env_file=file)
    assert (settings.api_port, settings.log_level) == (8002, "debug")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TRIPTYCH_API_PORT", "eighty"),
        ("TRIPTYCH_API_PORT", "70000"),
        ("TRIPTYCH_DEVICE", "tpu"),
        ("TRIPTYCH_LEASE_S", "0"),
        ("TRIPTYCH_WORKER_THREADS", "0"),
        ("TRIPTYCH_S3_BUCKET", "ab"),
        ("TRIPTYCH_PRESIGN_S", "86400"),
        ("TRIPTYCH_AUTH", "perhaps"),
        ("TRIPTYCH_VISIBILITY_TIMEOUT_S", "100"),
    ],
)
def test_a_wrong_value_is_named(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the variable, whatever is wrong with it."""
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=f"^{name}: "):
        load_settings()


def test_every_wrong_value_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two mistakes, two lines."""
    monkeypatch.setenv("TRIPTYCH_API_PORT", "x")
    monkeypatch.setenv("TRIPTYCH_MAX_PIXELS", "-1")
    with pytest.raises(SettingsError) as error:
        load_settings()
    assert {line.partition(":")[0] for line in str(error.value).splitlines()} == {
        "TRIPTYCH_API_PORT",
        "TRIPTYCH_MAX_PIXELS",
    }


@pytest.mark.parametrize(
    ("role", "device", "threads"), [("device", "cpu", 1), ("device", "cuda", 4), ("control", "cpu", 4)]
)
def test_threads_follow_from_the_role(role: str, device: str, threads: int) -> None:
    """One on a CPU, four otherwise, unless they are set."""
    assert load_settings(role=role, device=device).threads == threads
    assert load_settings(role=role, device=device, worker_threads=7).threads == 7


def test_modules_are_separated_by_commas() -> None:
    """Blanks and empty places are forgiven."""
    assert load_settings(extra_operations=" a.b, c ,,").extra_operation_modules == ["a.b", "c"]


def test_secrets_are_not_shown() -> None:
    """Neither repr nor str of the settings holds the secret key."""
    settings = load_settings(s3_secret_key="hunter2hunter2")
    assert "hunter2" not in f"{settings!r}{settings}{settings.model_dump_json()}"
    assert settings.s3_secret_key.get_secret_value() == "hunter2hunter2"


@pytest.mark.parametrize("path", ["/run/triptych/valkey.sock", "/tmp/with%20space/valkey.sock"])
def test_one_url_serves_both_clients(path: str) -> None:
    """redis-py and kombu find the same socket and database behind one setting; TCP URLs stay as they are."""
    settings = Settings(_env_file=None, redis_url=f"unix://{path}?db=3")
    plain = path.replace("%20", " ")
    ours = parse_redis_url(settings.redis_url)
    assert (ours["path"], ours["db"]) == (plain, 3)
    theirs = url_to_parts(settings.broker_url)
    assert theirs.scheme == "redis+socket"
    assert (f"/{theirs.path}", theirs.query) == (plain, {"virtual_host": "3"})
    tcp = load_settings(redis_url="rediss://:secret@example.org:6380/2")
    assert tcp.broker_url == tcp.redis_url
