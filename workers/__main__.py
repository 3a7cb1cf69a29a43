"""`python -m workers`: one worker process, device or control as TRIPTYCH_ROLE says.

Exit codes: 78 when the configuration cannot work (a wrong setting, a device that is not there, a store that
overwrites), which is checked before Celery starts, as Celery swallows what its signal handlers raise.
"""

from __future__ import annotations

import sys

from pipeline.core.errors import ProviderUnavailable, StoreUnsuitable
from pipeline.core.logs import configure_logs
from pipeline.core.settings import SettingsError, load_settings
from pipeline.inference.memory import return_large_blocks
from workers.app import run
from workers.retry import on_wait, patiently
from workers.runtime import make_runtime
from workers.store_check import require_conditional_put

EX_CONFIG = 78


def main() -> int:
    """Builds the parts, checks the device, runs the worker."""
    try:
        settings = load_settings()
        configure_logs(settings, process=settings.role)
        runtime = make_runtime(settings)
        on_wait.append(runtime.watchdog.progress)
        if settings.role == "device":
            return_large_blocks()
            patiently(runtime.handlers.warm_up)
        else:
            require_conditional_put(runtime.store)
    except (SettingsError, ProviderUnavailable, StoreUnsuitable) as error:
        print(f"triptych worker: {error}", file=sys.stderr)  # noqa: T201 - for whoever started it
        return EX_CONFIG
    return run(runtime)


if __name__ == "__main__":
    sys.exit(main())
