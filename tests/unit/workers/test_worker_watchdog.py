"""The watchdog, in processes of its own: it ends them."""

from __future__ import annotations

import subprocess
import sys
import textwrap

START = """
import threading, time
from workers.watchdog import Watchdog
dog = Watchdog(0.5)
def looks(idle):
    while True:
        dog.look(idle=idle)
        time.sleep(0.05)
def pulse(idle):
    threading.Thread(target=looks, args=(idle,), daemon=True).start()
"""


def run(body: str) -> subprocess.CompletedProcess[str]:
    code = START + textwrap.dedent(body)
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=False
    )


def test_a_stalled_process_ends_with_every_threads_stack() -> None:
    """Work in hand and no progress for `stall_s`: the process exits, and says where it stood."""
    done = run("""
        def stuck_here(): time.sleep(15)
        pulse(idle=False)
        stuck_here()
        print("lived")
    """)
    assert done.returncode == 1
    assert "lived" not in done.stdout
    assert "Timeout" in done.stderr
    assert "stuck_here" in done.stderr


def test_it_needs_no_thread_of_python() -> None:
    """A native call that never lets the GIL go cannot keep the process: the timer runs outside Python."""
    done = run("""
        import ctypes
        pulse(idle=False)
        ctypes.PyDLL(None).sleep(15)
        print("lived")
    """)
    assert done.returncode == 1
    assert "lived" not in done.stdout


def test_progress_and_idleness_let_it_live() -> None:
    """Whoever moves now and then, or has nothing to do, is left alone, however long."""
    moving = run("""
        pulse(idle=False)
        for _ in range(12):
            time.sleep(0.1)
            dog.progress()
        print("lived")
    """)
    idle = run("""
        pulse(idle=True)
        time.sleep(1.2)
        print("lived")
    """)
    assert (moving.returncode, moving.stdout) == (0, "lived\n"), moving.stderr
    assert (idle.returncode, idle.stdout) == (0, "lived\n"), idle.stderr


def test_closed_it_ends_nothing() -> None:
    """After `close` the process may take its time."""
    done = run("""
        dog.close()
        time.sleep(1)
        print("lived")
    """)
    assert (done.returncode, done.stdout) == (0, "lived\n")
