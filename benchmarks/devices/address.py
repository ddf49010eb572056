"""Addresses of boards: ``ssh://[USER@]HOST[:PORT]`` and ``adb://SERIAL``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from edgevid.errors import BenchmarkError

FORMS = "ssh://[USER@]HOST[:PORT] or adb://SERIAL"
SCHEMES = ("ssh://", "adb://")

# What ssh's own settings (ProxyCommand, Match exec) may put into a shell, and what no option looks like.
USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@+-]*\$?")
HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*|\[[0-9A-Fa-f:.]+(%[A-Za-z0-9_.-]+)?\]")
SERIAL = re.compile(r"[A-Za-z0-9_.:\[\]()][A-Za-z0-9_.:\[\]() -]*")


@dataclass(frozen=True)
class SshAddress:
    """A computer that ``ssh`` reaches; where user or port are None, its own settings decide."""

    host: str
    user: str | None = None
    port: int | None = None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"ssh://{f'{self.user}@' if self.user else ''}{host}{f':{self.port}' if self.port else ''}"


@dataclass(frozen=True)
class AdbAddress:
    """A device that ``adb devices`` lists; an empty serial is the only one there."""

    serial: str

    def __str__(self) -> str:
        return f"adb://{self.serial}"


def is_device(address: str) -> bool:
    """Whether ``address`` is meant for this package."""
    return address.startswith(SCHEMES)


def parse(address: str) -> SshAddress | AdbAddress:
    """The parts of an address; ``BenchmarkError`` with the forms that exist if it is none."""
    if address.startswith("adb://"):
        serial = address.removeprefix("adb://")
        if serial and not SERIAL.fullmatch(serial):
            raise _refused(address, f"{serial!r} is not a serial number as 'adb devices' prints it")
        return AdbAddress(serial)
    if not address.startswith("ssh://"):
        raise _refused(address, "it is not an address")
    user, at, rest = address.removeprefix("ssh://").removesuffix("/").rpartition("@")
    if at and ":" in user:
        raise _refused(address, "a password has no place in it: use a key (ssh-copy-id)")
    if at and not USER.fullmatch(user):
        raise _refused(address, f"{user!r} is not the name of a user")
    host, port = _split_port(rest)
    if not HOST.fullmatch(host):
        raise _refused(address, f"{host!r} is not the name of a host")
    if port is not None and not (re.fullmatch("[0-9]{1,5}", port) and 1 <= int(port) <= 65535):
        raise _refused(address, f"{port!r} is not a port from 1 to 65535")
    return SshAddress(host.strip("[]"), user or None, int(port) if port else None)


def _split_port(text: str) -> tuple[str, str | None]:
    host, colon, port = text.rpartition(":")
    return (host, port) if colon and not text.endswith("]") else (text, None)


def _refused(address: str, reason: str) -> BenchmarkError:
    return BenchmarkError(f"cannot measure on device {address!r}: {reason}. Use --device {FORMS}")
