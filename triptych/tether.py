"""Starts a program that dies with its parent, however the parent dies.

    python -I -S tether.py PARENT_PID -- program argument...
    python -I -S tether.py --pipe PARENT_PID -- program argument...

The program replaces this process, so its pid and its signals are the program's own. On Linux the kernel is
asked to kill it when its parent ends. Elsewhere (and with --pipe) a forked watcher holds the read end of our
standard input, of which the parent holds the other end: the pipe closes when the parent is gone, even by
kill -9. PARENT_PID 0 means that whoever starts it does not know its own pid beforehand.

Run as a file, not as a module: importing the package would cost more than the program's own start.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import sys
from collections.abc import Sequence

PR_SET_PDEATHSIG = 1  # linux/prctl.h
WATCH_S = 0.5
USAGE = "usage: tether.py [--pipe] PARENT_PID -- PROGRAM [ARGUMENT...]"


def command(argv: Sequence[str], *, parent_pid: int = 0, pipe: bool = sys.platform != "linux") -> list[str]:
    """The command line that runs `argv` tethered to the process that starts it.

    Args:
        argv: The program (an absolute path, or a name on PATH) and its arguments.
        parent_pid: Pid of the process that will start it, 0 if not known yet. On Linux what counts is the
            *thread* that starts it: it must live as long as the program should.
        pipe: Watch standard input instead of asking the kernel; it must then be a pipe of the parent's.
    """
    flags = ["--pipe"] if pipe else []
    return [sys.executable, "-I", "-S", os.path.abspath(__file__), *flags, str(parent_pid), "--", *argv]


def main(arguments: list[str]) -> None:
    """Ties this process to its parent, then becomes the program."""
    place = arguments.index("--") if "--" in arguments else 0
    head, argv = arguments[:place], arguments[place + 1 :]
    if not head or not argv or not head[-1].isdigit():
        raise SystemExit(USAGE)
    if head[0] == "--pipe":
        _watch_pipe()
    else:
        _die_with_parent(int(head[-1]))
    try:
        os.execvp(argv[0], argv)  # noqa: S606 - no shell, on purpose
    except OSError as error:
        raise SystemExit(f"cannot run {argv[0]}: {error.strerror}") from error


def _die_with_parent(parent_pid: int) -> None:
    parent = parent_pid or os.getppid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise SystemExit(f"prctl: {os.strerror(ctypes.get_errno())}")
    if os.getppid() != parent:  # it died before the kernel knew
        raise SystemExit("the parent is gone")


def _watch_pipe() -> None:
    """Forks the watcher; the caller goes on to become the program."""
    program = os.getpid()
    if os.fork() == 0:
        os.setsid()  # a Ctrl-C is the program's to answer, not the watcher's
        while os.getppid() == program:
            readable, _, _ = select.select([0], [], [], WATCH_S)
            if readable and not os.read(0, 4096):
                if os.getppid() == program:
                    os.kill(program, signal.SIGKILL)
                break
        os._exit(0)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)


if __name__ == "__main__":
    main(sys.argv[1:])
