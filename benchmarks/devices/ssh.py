"""The system's ``ssh``: the user's configuration, agent, keys and jump hosts work as they do by hand."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import stat
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from edgevid.benchmarks.devices.address import SshAddress
from edgevid.benchmarks.devices.link import start

CONFIG = "EDGEVID_SSH_CONFIG"
"""The environment variable with the path of a configuration to use instead of ``~/.ssh/config``."""

OPTIONS = (
    "BatchMode=yes",  # no question that nobody answers
    "ConnectTimeout=15",
    "ServerAliveInterval=5",
    "ServerAliveCountMax=3",
    "ClearAllForwardings=yes",
    "ForwardAgent=no",
    "PermitLocalCommand=no",
    "RemoteCommand=none",
    "RequestTTY=no",
)
PERSIST_S = 30
"""How long a connection waits for the next measurement."""
PATH_LIMIT = 90
"""Characters of a socket's path: the system takes 107, and ssh appends 17."""

REASONS = (
    (
        r"REMOTE HOST IDENTIFICATION HAS CHANGED|host key .* has changed",
        "its host key is another one than last time: if the board was installed anew, run "
        "'ssh-keygen -R {known}' and then 'ssh {by_hand}' once; if not, do not connect",
    ),
    (
        r"Host key verification failed|host key is known",
        "its host key is unknown: run 'ssh {by_hand}' once and compare the fingerprint that it shows",
    ),
    (
        r"Permission denied|Too many authentication failures",
        "it refused your keys: load your key (ssh-add), or put it there (ssh-copy-id {by_hand})",
    ),
    (r"Could not resolve hostname", "there is no host of that name: check it, or add it to ~/.ssh/config"),
    (r"Connection refused", "nothing answers on that port: start sshd there, or give another :PORT"),
    (
        r"timed out|No route to host|Network is unreachable|Host is down",
        "it does not answer: check that it is on and in this network",
    ),
    (
        r"[Bb]ad configuration option|Bad owner or permissions",
        "ssh does not like its settings ({last}): correct them",
    ),
)


class Ssh:
    """A computer reached by ``ssh``, over one connection that several measurements share."""

    upload = None  # data goes through the pipe

    def __init__(self, address: SshAddress) -> None:
        self.address = str(address)
        self._address = address

    def open(self, command: str, errors: IO[bytes]) -> subprocess.Popen[bytes]:
        return start("ssh", [*self.options(), "--", self._address.host, command], errors, "openssh-client")

    def options(self) -> list[str]:
        config = os.environ.get(CONFIG)
        words = ["-T", "-x", *(["-F", config] if config else [])]
        words += [word for option in OPTIONS for word in ("-o", option)]
        if socket := _socket(f"{self.address} {config or ''}"):
            shared = ("ControlMaster=auto", f"ControlPath={socket}", f"ControlPersist={PERSIST_S}")
            words += [word for option in shared for word in ("-o", option)]
        if self._address.user:
            words += ["-l", self._address.user]
        if self._address.port:
            words += ["-p", str(self._address.port)]
        return words

    def explain(self, status: int, errors: Sequence[str]) -> str:
        text, last = "\n".join(errors), errors[-1] if errors else f"ssh ended with exit status {status}"
        address = self._address
        by_hand = (
            f"{f'-p {address.port} ' if address.port else ''}{f'{address.user}@' if address.user else ''}"
        )
        known = f"'[{address.host}]:{address.port}'" if address.port else address.host
        for pattern, reason in REASONS:
            if re.search(pattern, text):
                return reason.format(by_hand=by_hand + address.host, known=known, last=last)
        return f"no connection ({last}): try 'ssh {by_hand}{address.host}'"


def _socket(name: str) -> Path | None:
    """The path of a socket in a folder that only this user can enter; None if there can be none."""
    if not hasattr(os, "getuid"):  # ssh on Windows shares no connections
        return None
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    folder = Path(runtime, "edgevid") if runtime else Path(tempfile.gettempdir(), f"edgevid-{os.getuid()}")
    path = folder / hashlib.sha256(name.encode()).hexdigest()[:16]
    if len(str(path)) > PATH_LIMIT:
        folder = Path("/tmp", f"edgevid-{os.getuid()}")
        path = folder / path.name
    with contextlib.suppress(OSError):
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077:
            return path
    return None
