"""One measurement at a time on a board, whoever asks for it."""

import fcntl
import json
import os
import stat
import threading
import time

FOLDER = "EDGEVID_LOCK_FOLDER"
"""The environment variable of a board whose users share another folder than /tmp."""
NAME = "edgevid-board.lock"
REPORT_S = 60.0


class Problem(Exception):
    """One line for the user: what is wrong, what to do."""


def lock_path(private):
    """The file that all users of the board lock; in the folder ``private`` where no folder is shared."""
    shared = os.environ.get(FOLDER)
    if shared is None and is_shared("/tmp"):
        shared = "/tmp"
    return os.path.join(shared or private, NAME)


def is_shared(folder):
    """Whether every user may make files in ``folder``, and nobody may remove another's."""
    try:
        mode = os.stat(folder).st_mode
    except OSError:
        return False
    return bool(mode & stat.S_ISVTX and mode & stat.S_IWOTH)


class Lock:
    """The lock of a board, in a file that says who holds it, for what and since when.

    The kernel frees it when its owner has ended, and every process that it started with ``descriptor`` in its
    hands: nothing is left after a crash, so nothing needs to be taken over.
    """

    def __init__(self, path):
        self.path = path
        self.descriptor = -1

    def acquire(self, owner, doing, report):
        """Wait for the lock. ``report(holder)`` is called now and then while someone else has it."""
        if self.descriptor < 0:
            self.descriptor = _open(self.path)
            try:
                fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                self._wait(report)
        self.describe(owner, doing)

    def _wait(self, report):
        # In a thread: the kernel serves those who wait in the order in which they came, if they do not poll.
        mine = threading.Event()

        def wait():
            fcntl.flock(self.descriptor, fcntl.LOCK_EX)
            mine.set()

        threading.Thread(target=wait, daemon=True).start()
        while not mine.wait(0.2):
            report(self.holder())
            if mine.wait(REPORT_S):
                return

    def describe(self, owner, doing):
        """Tell those who wait. All processes share CLOCK_MONOTONIC; boards may set the other clock late."""
        holder = {"owner": owner, "doing": doing, "pid": os.getpid(), "since_s": time.monotonic()}
        try:
            os.ftruncate(self.descriptor, 0)
            os.pwrite(self.descriptor, json.dumps(holder).encode(), 0)
        except OSError:
            pass  # another user's file that may be locked but not written, or a full disk: it still locks

    def holder(self):
        """Who has it: owner, doing, pid and age in seconds, as far as the file says."""
        try:
            holder = json.loads(os.pread(self.descriptor, 4096, 0).decode())
            age_s = max(0.0, time.monotonic() - float(holder["since_s"]))
            return {
                "owner": str(holder["owner"])[:100],
                "doing": str(holder["doing"])[:200],
                "pid": int(holder["pid"]),
                "age_s": age_s,
            }
        except (OSError, ValueError, KeyError, TypeError):
            return {"owner": "someone", "doing": "measuring", "pid": 0, "age_s": 0.0}

    def release(self):
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


def _open(path):
    flags = os.O_NOFOLLOW | os.O_CLOEXEC
    for _ in range(20):
        try:
            return os.open(path, flags | os.O_RDWR)
        except PermissionError:
            time.sleep(0.05)  # its owner is just making it
            continue
        except FileNotFoundError:
            pass
        try:
            # Exclusive: Linux refuses to open another user's file in /tmp with O_CREAT alone.
            descriptor = os.open(path, flags | os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
            os.fchmod(descriptor, 0o666)
            return descriptor
        except FileExistsError:
            continue
    try:
        return os.open(path, flags | os.O_RDONLY)
    except OSError as error:
        raise Problem(f"its lock {path} cannot be opened ({error.strerror}): remove it there") from error
