"""The object store of this installation, for commands that speak to it without the API."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from triptych.cli import CommandError

if TYPE_CHECKING:
    from pipeline.core.s3 import S3ObjectStore

PLACE = (
    "The object store is the one of TRIPTYCH_S3_URL, TRIPTYCH_S3_ACCESS_KEY, TRIPTYCH_S3_SECRET_KEY and "
    "TRIPTYCH_S3_BUCKET, or else that of the running `triptych up`."
)


def own_store(command: str) -> S3ObjectStore:
    """The store of the settings, else that of the `triptych up` that runs here. Needs the extra `core`.

    Args:
        command: Who asks, for the message.
    """
    try:
        from pipeline.core.s3 import make_store  # noqa: PLC0415 - the client has no S3 SDK
        from pipeline.core.settings import SettingsError, load_settings  # noqa: PLC0415
    except ImportError as error:
        raise CommandError(f"`{command}` needs pip install '.[core]' ({error})") from error
    from triptych.stack.place import running_environment  # noqa: PLC0415 - POSIX only

    found = {} if "TRIPTYCH_S3_URL" in os.environ else running_environment() or {}
    given = {name.removeprefix("TRIPTYCH_").lower(): value for name, value in found.items()}
    try:
        settings = load_settings(**{name: value for name, value in given.items() if name.startswith("s3_")})
    except SettingsError as error:
        raise CommandError(str(error)) from error
    return make_store(settings)
