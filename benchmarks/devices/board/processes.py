"""Run a program whose whole family ends with it, and which holds the lock of the board while it lives."""

import contextlib
import os
import signal
import subprocess
import threading
import time

REMINDER_S = 20.0
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


@contextlib.contextmanager
def reminding(emit, event, limit_s):
    """Emit ``event`` now and then, with the time since, until ``limit_s``: what is long is not lost."""
    done = threading.Event()
    start = time.monotonic()

    def remind():
        while not done.wait(REMINDER_S) and time.monotonic() - start < limit_s:
            emit(dict(event, elapsed_s=time.monotonic() - start))

    emit(event)
    thread = threading.Thread(target=remind, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def leave(status=99):
    """End this program and all that it started, at once."""
    for process in list(running):
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
    os._exit(status)
