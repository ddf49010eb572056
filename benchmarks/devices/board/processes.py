"""Run a program whose whole family ends with it, and which holds the lock of the board while it lives."""

import contextlib
import os
import signal
import subprocess

running = set()  # type: "set[subprocess.Popen]"


def start(command, lock, **options):
    """A process in a session of its own that inherits the descriptor ``lock`` (below 0: none)."""
    process = subprocess.Popen(
        command, start_new_session=True, pass_fds=() if lock < 0 else (lock,), **options
    )
    running.add(process)
    return process


def end(process):
    """Kill a process and what it started."""
    with contextlib.suppress(OSError):  # it has ended
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    running.discard(process)


def leave(status=99):
    """End this program and all that it started, at once."""
    for process in list(running):
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
    os._exit(status)
