"""Real servers for tests, to be used, killed and started again."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from minio import Minio
from minio.deleteobjects import DeleteObject
from pydantic import SecretStr

from pipeline.core.settings import Settings
from triptych import servers

READY_S = 30.0
ROOT = Path(__file__).resolve().parents[2]


class RunningServer:
    """A server of one's own. Its address stays the same over every restart."""

    def __init__(self, program: servers.Program, directory: Path) -> None:
        self.program = program
        self._data = directory
        self._log = directory.with_name(f"{directory.name}.log")
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Starts it, from a thread that lives as long as it should, and waits until it answers."""
        assert self._process is None
        self._process = servers.start(self.program, self._log)
        servers.wait_ready(self.program, self._process, READY_S)

    def kill(self) -> None:
        """Kills it with -9: what it had not on disk is gone."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._process = None

    def stop(self) -> None:
        """Ends it, if it runs, without waiting until it has tidied its data: nobody needs them any more."""
        if self._process is not None:
            servers.stop(self.program, self._process, grace_s=0)
            self._process = None

    def restart(self) -> None:
        """Kills it and starts it on the same data."""
        self.kill()
        self.start()


class RunningValkey(RunningServer):
    """A Valkey server of one's own."""

    def __init__(self, directory: Path) -> None:
        server = servers.valkey(directory)
        self.url = server.url
        super().__init__(server.program, directory)

    def restart_empty(self) -> None:
        """Kills it and starts it without its data."""
        self.kill()
        shutil.rmtree(self._data / "appendonlydir")
        self.start()

    def restart_cut(self, cut_bytes: int) -> int:
        """Kills it and cuts the end of its append-only file off, as a power failure would, then starts it.

        Returns:
            How many bytes there were to cut.
        """
        self.kill()
        (path,) = self._data.glob("appendonlydir/*.incr.aof")
        size_bytes = path.stat().st_size
        os.truncate(path, max(size_bytes - cut_bytes, 0))
        self.start()
        return min(size_bytes, cut_bytes)


@dataclass(frozen=True)
class S3Place:
    """An S3 server and a pair of keys."""

    url: str
    access_key: str
    secret_key: str

    def client(self) -> Minio:
        url = urlsplit(self.url)
        return Minio(
            url.netloc,
            access_key=self.access_key,
            secret_key=self.secret_key,
            secure=url.scheme == "https",
            region="us-east-1",
        )


class RunningS3(RunningServer):
    """An S3 server of one's own."""

    def __init__(self, directory: Path) -> None:
        server = servers.seaweedfs(directory)
        self.place = S3Place(server.url, server.access_key, server.secret_key)
        super().__init__(server.program, directory)


@contextmanager
def bucket(place: S3Place) -> Iterator[str]:
    """A fresh bucket, gone afterwards with all that is in it."""
    client = place.client()
    name = f"triptych-test-{os.urandom(6).hex()}"
    client.make_bucket(name)
    try:
        yield name
    finally:
        found = client.list_objects(name, recursive=True)
        assert not list(client.remove_objects(name, (DeleteObject(str(one.object_name)) for one in found)))
        client.remove_bucket(name)


def settings_for(redis_url: str, place: S3Place, bucket: str, **more: object) -> Settings:
    """Settings for these servers, whatever the environment says. Clients reach the store directly."""
    fields: dict[str, object] = {
        "redis_url": redis_url,
        "s3_url": place.url,
        "s3_public_url": place.url,
        "s3_access_key": place.access_key,
        "s3_secret_key": SecretStr(place.secret_key),
        "s3_bucket": bucket,
        "extra_operations": "tests.support.operations",
    }
    return Settings(_env_file=None, **{**fields, **more})  # type: ignore[arg-type]


def environment(settings: Settings) -> dict[str, str]:
    """The environment in which a process of the project has exactly these settings."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("TRIPTYCH_")}
    for name in Settings.model_fields:
        value = getattr(settings, name)
        if isinstance(value, SecretStr):
            value = value.get_secret_value()
        if value is not None:
            ours[f"TRIPTYCH_{name.upper()}"] = str(value)
    return {**ours, "PYTHONPATH": str(ROOT)}
