"""A real OpenSSH server on loopback, with keys and a folder of its own."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SSHD = "/usr/sbin/sshd"
WHY_NOT = next(
    (
        f"{name} is not installed (Debian: apt install {package})"
        for name, package in {SSHD: "openssh-server", "ssh": "openssh-client"}.items()
        if shutil.which(name) is None
    ),
    "",
)

SERVER = """
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
AuthorizedKeysFile {folder}/authorized
PidFile {folder}/pid
UsePAM no
PasswordAuthentication no
StrictModes no
PermitRootLogin prohibit-password
MaxStartups 100
SetEnv {variables}
"""
CLIENT = """
Host *
    IdentityFile {folder}/user
    IdentitiesOnly yes
    UserKnownHostsFile {folder}/known
    StrictHostKeyChecking yes
    GlobalKnownHostsFile /dev/null
    LogLevel ERROR
"""


@dataclass(frozen=True)
class Server:
    """``folder`` has the keys, ``config`` is a client's; ``cache`` is where edgevid keeps files there."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes]

    @property
    def address(self) -> str:
        return f"ssh://{getpass.getuser()}@127.0.0.1:{self.port}"

    @property
    def config(self) -> Path:
        return self.folder / "config"

    @property
    def cache(self) -> Path:
        return self.folder / "cache"

    def cut(self) -> None:
        """End every connection as a broken network does: nobody says goodbye."""
        for pid in children(self.process.pid):
            for one in (pid, *children(pid)):
                if b"sshd" in _command(one):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(one, signal.SIGKILL)


@contextlib.contextmanager
def ssh_server(**variables: str) -> Iterator[Server]:
    """A server whose commands see ``variables``; it and what it started has ended when the block does."""
    folder = Path(tempfile.mkdtemp(prefix="sshd-"))
    for name in ("host", "user", "stranger"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(command, check=True)
    shutil.copy(folder / "user.pub", folder / "authorized")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    settings = {"EDGEVID_CACHE": str(folder / "cache"), "EDGEVID_LOCK_FOLDER": str(folder), **variables}
    words = " ".join(f'"{name}={value}"' for name, value in settings.items())
    (folder / "sshd").write_text(SERVER.format(port=port, folder=folder, variables=words))
    (folder / "config").write_text(CLIENT.format(folder=folder))
    (folder / "known").write_text(f"[127.0.0.1]:{port} {(folder / 'host.pub').read_text()}")
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([SSHD, "-D", "-e", "-f", str(folder / "sshd")], stderr=log)
    server = Server(folder, port, process)
    try:
        _wait_for(server)
        yield server
    finally:
        server.cut()
        process.terminate()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def children(pid: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _wait_for(server: Server) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and server.process.poll() is None:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", server.port), 1).close()
            return
        time.sleep(0.02)
    raise RuntimeError(f"sshd does not start: {(server.folder / 'log').read_text()}")
