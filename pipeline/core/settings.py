"""Typed settings from the environment and `.env`, names TRIPTYCH_*. Built by a call, never at import."""

from __future__ import annotations

from pathlib import Path
from typing import Literal
from urllib.parse import parse_qsl, urlsplit

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from pipeline.core.endpoint import Endpoint
from pipeline.core.operation import Limits


class SettingsError(Exception):
    """A TRIPTYCH_* value is wrong; the message names each."""


class Settings(BaseSettings):
    """Everything that can be set. Seconds end in `_s`, sizes in `_bytes`."""

    model_config = SettingsConfigDict(
        env_prefix="TRIPTYCH_", env_file=".env", extra="ignore", env_ignore_empty=True, frozen=True
    )

    # Broker and ledger: one Redis or Valkey, 6.2 or newer, append-only file on, `noeviction`.
    # `unix:///path?db=0` for a Unix socket.
    redis_url: str = "redis://127.0.0.1:6379/0"
    visibility_timeout_s: int = Field(600, ge=5, description="when Celery redelivers; above lease_max_s")

    # Object storage: any S3.
    s3_url: str = "http://127.0.0.1:9000"
    s3_public_url: str | None = Field(None, description="where clients reach it; unset: through the API")
    s3_access_key: str = ""
    s3_secret_key: SecretStr = SecretStr("")
    s3_bucket: str = Field("triptych", min_length=3)
    s3_region: str = "us-east-1"

    # API
    api_host: str = "127.0.0.1"
    api_port: int = Field(8000, ge=0, le=65535)
    auth: bool = Field(False, description="API keys are needed; without them the API stays on loopback")
    max_body_bytes: int = Field(64 * 2**20, ge=1024, description="largest body but for streamed uploads")
    page_size: int = Field(1000, ge=1, le=10_000, description="largest page of a listing")
    presign_s: int = Field(900, ge=10, le=900)

    # Workers
    role: Literal["device", "control"] = "device"
    device: Literal["cpu", "cuda"] = "cpu"
    device_index: int = Field(0, ge=0)
    worker_threads: int | None = Field(None, ge=1, le=64, description="1 on a CPU, 4 on CUDA or control")
    worker_name: str | None = None
    artifact_cache: Path = Path("~/.cache/triptych/artifacts")
    extra_operations: str = Field("", description="comma-separated modules with an ALL tuple of operations")
    stall_s: float = Field(600, gt=0, description="a worker without progress for so long ends itself")
    health_file: Path | None = Field(None, description="touched while a worker is alive and connected")

    # Limits on one input
    max_input_bytes: int = Field(512 * 2**20, ge=1)
    max_pixels: int = Field(100_000_000, ge=1)
    max_frames: int = Field(1_000, ge=1)

    max_audio_s: float = Field(600, gt=0, le=86_400, description="the longest sound")

    # Whose models may be used, and a remote one
    allow_terms: str = Field("", description="comma-separated licences of models that may run; empty: any")
    endpoint_url: str | None = Field(None, description="an OpenAI-compatible API, e.g. https://host/v1")
    endpoint_model: str = Field("", description="the model's name there")
    endpoint_key: SecretStr = SecretStr("")
    endpoint_private: bool = Field(False, description="that host may be private or this machine, over http")
    endpoint_languages: str = Field("en,zh", description="comma-separated; what that model writes")
    endpoint_timeout_s: float = Field(60, gt=0, le=600)

    # Ledger
    lease_s: float = Field(20, gt=0, description="a running shard's first lease; doubles with each attempt")
    lease_max_s: float = Field(300, gt=0)
    pulse_s: float = Field(1, gt=0, description="how often a worker renews its leases and looks for cancels")
    steward_s: float = Field(2, gt=0)
    steward: bool = Field(True, description="off only in experiments")
    shard_target_s: float = Field(3, gt=0, description="seconds of work a shard is cut for")
    max_shard_items: int = Field(500, ge=1)
    keep_ledger_s: float = Field(3600, ge=0, description="how long Redis remembers a job that has ended")

    # Logs
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "text"] = "json"

    @property
    def broker_url(self) -> str:
        """`redis_url` as kombu wants it: its form for a Unix socket is another than redis-py's."""
        if not self.redis_url.startswith("unix://"):
            return self.redis_url
        url = urlsplit(self.redis_url)
        database = dict(parse_qsl(url.query)).get("db", "0")
        return f"redis+socket://{url.path}?virtual_host={database}"

    @property
    def limits(self) -> Limits:
        return Limits(self.max_input_bytes, self.max_pixels, self.max_frames, self.max_audio_s)

    @property
    def endpoint(self) -> Endpoint | None:
        """The remote model, where one is set up; `load_settings` has checked it."""
        if not self.endpoint_url:
            return None
        return Endpoint(
            self.endpoint_url.rstrip("/"),
            self.endpoint_model,
            self.endpoint_key.get_secret_value(),
            private=self.endpoint_private,
            languages=tuple(_parts(self.endpoint_languages)),
            timeout_s=self.endpoint_timeout_s,
        )

    @property
    def allowed_terms(self) -> list[str]:
        return _parts(self.allow_terms)

    @property
    def threads(self) -> int:
        """Threads of this process's Celery pool."""
        if self.worker_threads is not None:
            return self.worker_threads
        return 1 if self.role == "device" and self.device == "cpu" else 4

    @property
    def extra_operation_modules(self) -> list[str]:
        return _parts(self.extra_operations)


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def load_settings(**overrides: object) -> Settings:
    """Reads the settings.

    Raises:
        SettingsError: A value is wrong; the message names the variable and says what is expected.
    """
    try:
        settings = Settings(**overrides)  # type: ignore[arg-type]
    except ValidationError as error:
        lines = [f"TRIPTYCH_{'_'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors()]
        raise SettingsError("\n".join(lines)) from None
    if settings.visibility_timeout_s <= settings.lease_max_s:
        # A redelivery that meets a lease which still looks alive is dropped, and the message is gone.
        raise SettingsError(
            f"TRIPTYCH_VISIBILITY_TIMEOUT_S: {settings.visibility_timeout_s} must be above "
            f"TRIPTYCH_LEASE_MAX_S ({settings.lease_max_s:g})"
        )
    try:
        endpoint = settings.endpoint
    except ValueError as error:
        raise SettingsError(f"TRIPTYCH_ENDPOINT_URL: {error}") from None
    if endpoint is not None and not endpoint.model:
        raise SettingsError("TRIPTYCH_ENDPOINT_MODEL: name the model that TRIPTYCH_ENDPOINT_URL is to use")
    return settings
