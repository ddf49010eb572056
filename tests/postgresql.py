"""A real server of PostgreSQL, from Debian's package, on a socket in a temporary folder."""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

OPTIONS = ("listen_addresses=", "fsync=off", "shared_buffers=16MB", "max_connections=50")


def program(name: str) -> str | None:
    """The newest installed one; Debian keeps them out of PATH."""
    found = Path("/usr/lib/postgresql").glob(f"*/bin/{name}")
    versions = {int(path.parts[-3]): str(path) for path in found if re.fullmatch(r"\d+", path.parts[-3])}
    return versions[max(versions)] if versions else shutil.which(name)


class Server:
    """``url`` is its address, and ``url_of(name)`` that of a new, empty database."""

    def __init__(self, folder: str) -> None:
        self.folder, self.data, self.user = folder, f"{folder}/data", {}
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            account = pwd.getpwnam("postgres")
            self.user = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
            os.chown(folder, account.pw_uid, account.pw_gid)
        self._run(
            "initdb",
            "-D",
            self.data,
            "-U",
            "edgevid",
            "-A",
            "trust",
            "--no-sync",
            "-E",
            "UTF8",
            "--no-locale",
        )
        self.start()

    def start(self) -> None:
        options = [part for option in OPTIONS for part in ("-c", option)]
        with open(f"{self.folder}/log", "ab") as log:
            self.process = subprocess.Popen(
                [program("postgres"), "-D", self.data, "-k", self.folder, *options],
                stderr=log,
                cwd="/",
                **self.user,
            )
        for _ in range(200):
            if self._run("pg_isready", "-q", "-h", self.folder, check=False).returncode == 0:
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise RuntimeError(Path(self.folder, "log").read_text())

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        self.process.send_signal(how)
        self.process.wait(timeout=30)

    def url_of(self, database: str) -> str:
        self._run("createdb", "-h", self.folder, "-U", "edgevid", database)
        return f"postgresql://edgevid@/{database}?host={self.folder}"

    def _run(self, name: str, *arguments: str, check: bool = True) -> subprocess.CompletedProcess:
        command = [program(name), *arguments]
        return subprocess.run(command, check=check, stdout=subprocess.DEVNULL, cwd="/", **self.user)


@contextlib.contextmanager
def server() -> Iterator[Server]:
    folder = tempfile.mkdtemp(prefix="edgevid-pg-", dir="/tmp")  # short: a socket's path has 107 characters
    running = None
    try:
        running = Server(folder)
        yield running
    finally:
        if running is not None:
            running.stop(signal.SIGQUIT)  # without writing to disk what is deleted anyway
        shutil.rmtree(folder, ignore_errors=True)
