"""The command line: `triptych VERB ...`. A verb is a module of `triptych.commands`, imported when needed."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Callable, Sequence
from types import FrameType

from triptych.local import NoSuchInput
from triptych.transport import RETRIED, ApiError, Unreachable

# What `triptych --help` shows, in this order.
VERBS = {
    "run": "turn files into results, from start to end",
    "decode": "turn .tri files into pictures here, without a server",
    "encode": "turn pictures into .tri files here, without a server",
    "up": "start a whole Triptych on this machine, until Ctrl-C",
    "submit": "upload files, or name objects of the bucket, and start a job",
    "status": "show one job, or the newest ones",
    "watch": "follow a job until it has ended",
    "fetch": "write a job's outputs to a folder",
    "cancel": "stop a job",
    "search": "find items of a described job by words",
    "operations": "show what the server can do",
    "models": "import describing models that you have downloaded",
    "keys": "make, list and revoke API keys",
    "version": "show the version",
}
OK, FAILED, USAGE, SOME_FAILED, INTERRUPTED, TERMINATED = 0, 1, 2, 4, 130, 143
HELP = ("-h", "--help")


class CommandError(Exception):
    """Ends a command with one line on stderr.

    Attributes:
        exit_code: FAILED or USAGE.
    """

    def __init__(self, message: str, exit_code: int = USAGE) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP: everything stops in order, as after a Ctrl-C."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code: 0, 1, 2, 4, 130 (or 143 for SIGTERM)."""
    verb, *rest = [*(sys.argv[1:] if arguments is None else arguments)] or ["--help"]
    if verb in HELP:
        print(usage())
        return OK
    if verb == "--version":
        verb = "version"
    if verb not in VERBS:
        return _fail(f"no command {verb!r}; `triptych --help` lists them", USAGE)
    with _SignalsAsExceptions():
        return _guarded(lambda: int(importlib.import_module(f"triptych.commands.{verb}").main(rest)))


def usage() -> str:
    """The help text of `triptych` itself."""
    width = max(map(len, VERBS))
    verbs = "\n".join(f"  {verb:<{width}}  {summary}" for verb, summary in VERBS.items())
    return (
        "usage: triptych COMMAND ...\n\n"
        "Compress, stylize and describe image collections of any size.\n\n"
        f"{verbs}\n\n"
        "TRIPTYCH_URL names the server (TRIPTYCH_API_KEY its key); without it `triptych run` starts one for\n"
        "the length of the job. `triptych COMMAND --help` says more.\n\n"
        "Exit codes: 0 all succeeded, 4 some items failed, 2 wrong usage or configuration,\n"
        "1 the run failed, 130 stopped by Ctrl-C."
    )


def _guarded(command: Callable[[], int]) -> int:
    """Turns every expected error into one line and an exit code."""
    try:
        return command()
    except SystemExit as exit_:  # argparse has said what is wrong
        return exit_.code if isinstance(exit_.code, int) else USAGE
    except (CommandError, NoSuchInput) as error:
        return _fail(str(error), getattr(error, "exit_code", USAGE))
    except ApiError as error:
        detail = f"{error.message} ({error.code})"
        hint = "; set TRIPTYCH_API_KEY" if error.status == 401 else ""
        return _fail(f"{detail}{hint}", FAILED if error.status in RETRIED else USAGE)
    except BrokenPipeError:  # whoever read our output has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except (Unreachable, OSError) as error:
        return _fail(str(error), FAILED)
    except KeyboardInterrupt as interrupt:
        return _fail("stopped", TERMINATED if isinstance(interrupt, Terminated) else INTERRUPTED)


def _fail(message: str, exit_code: int) -> int:
    print(f"triptych: {message}", file=sys.stderr)
    return exit_code


class _SignalsAsExceptions:
    """Within it SIGTERM and SIGHUP unwind the stack like Ctrl-C, so that children stop in order."""

    SIGNALS = (signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else []))

    def __enter__(self) -> None:
        self._before = {number: signal.signal(number, self._raise) for number in self.SIGNALS}

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @staticmethod
    def _raise(number: int, _: FrameType | None) -> None:
        raise Terminated(number)


if __name__ == "__main__":
    sys.exit(main())
