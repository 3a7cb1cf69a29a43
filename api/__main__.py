"""`python -m api`: the API on the host and port of the settings."""

from __future__ import annotations

import sys

import uvicorn

from api.app import create_app
from pipeline.core.logs import configure_logs
from pipeline.core.settings import SettingsError, load_settings

STOP_S = 10  # how long open requests may take to end; event streams end at once
WRONG_SETTINGS = 78  # EX_CONFIG: whoever supervises should not try again


def main() -> int:
    """Serves until SIGTERM or SIGINT. Returns the exit code."""
    try:
        settings = load_settings()
        app = create_app(settings)
    except SettingsError as error:
        print(error, file=sys.stderr)  # noqa: T201 - before there are logs
        return WRONG_SETTINGS
    configure_logs(settings, process="api")
    uvicorn.run(
        app,
        host=settings.api_host,
        port=settings.api_port,
        log_config=None,
        access_log=False,  # `api.envelope` writes a better line
        server_header=False,
        proxy_headers=settings.auth,  # without keys nobody stands in front
        timeout_graceful_shutdown=STOP_S,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
