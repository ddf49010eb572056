"""The system's ``adb``, for phones and boards with Android's debug bridge."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from edgevid.benchmarks.devices.address import AdbAddress
from edgevid.benchmarks.devices.link import start
from edgevid.errors import BenchmarkError

TIMEOUT_S = 60.0
REPORT_S = 10.0
GREETING, GREETING_S = ("authorizing", "connecting"), 5.0
STATES = {
    "unauthorized": "it has not allowed this computer: unlock it and accept USB debugging",
    "offline": "adb finds it offline: plug it in again, or run 'adb reconnect offline'",
    "no permissions": "this user may not open its USB port: install the udev rules (Debian: apt install "
    "android-sdk-platform-tools-common), and plug it in again",
    "authorizing": "it does not answer adb's greeting: plug it in again, or restart it",
    "connecting": "it does not answer adb's greeting: plug it in again, or restart it",
    "recovery": "it is in recovery mode: restart it",
    "bootloader": "it is in its bootloader: restart it",
    "sideload": "it waits for a sideload: restart it",
}


class Adb:
    """A device reached by ``adb``, which starts a server of its own and leaves it running."""

    def __init__(self, address: AdbAddress) -> None:
        self.address = str(address)
        self._given, self._serial = address.serial, ""

    def open(self, command: str, errors: IO[bytes]) -> subprocess.Popen[bytes]:
        self._serial = self._find()
        return start("adb", ["-s", self._serial, "shell", "-T", command], errors, "adb")

    def upload(self, source: Path, destination: str, report: Callable[[], None]) -> None:
        command = ["adb", "-s", self._serial, "push", str(source), destination]
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            while True:
                try:
                    output, _ = process.communicate(timeout=REPORT_S)
                    break
                except subprocess.TimeoutExpired:
                    report()
        if process.returncode:
            last = output.strip().splitlines()[-1:] or ["no reason given"]
            if "No space left" in last[0]:
                raise BenchmarkError(f"the disk of {self.address} is full: free space there")
            raise BenchmarkError(f"{self.address}: adb push failed ({last[0]}): try again")

    def explain(self, status: int, errors: Sequence[str]) -> str:
        last = errors[-1] if errors else f"adb ended with exit status {status}"
        return f"no connection ({last}): try 'adb -s {self._serial} shell'"

    def _find(self) -> str:
        """The serial to use; ``BenchmarkError`` if there is no such device, or it is not ready."""
        states = _states()
        known = ", ".join(states) or "none"
        serial = self._given
        if not serial:
            if len(states) > 1:
                raise BenchmarkError(
                    f"adb sees several devices ({known}): name one, as in adb://{next(iter(states))}"
                )
            serial = next(iter(states), "")
        if serial not in states:
            over_network = f"run 'adb connect {serial}'" if ":" in serial else "plug it in"
            raise BenchmarkError(
                f"adb sees no device {serial or 'at all'} (connected: {known}): {over_network}, switch on "
                "USB debugging there, and look at 'adb devices'"
            )
        state = states[serial]
        for name, remedy in STATES.items():
            if state.startswith(name):
                raise BenchmarkError(f"{self.address}: {remedy}")
        return serial


def _states() -> dict[str, str]:
    """The state of each device by its serial, after a moment for those that are just being greeted."""
    deadline = time.monotonic() + GREETING_S
    while True:
        lines = _adb("devices").stdout.splitlines()
        rows = [line.partition("\t") for line in lines if "\t" in line]
        states = {serial.strip(): state.strip() for serial, _, state in rows}
        if time.monotonic() > deadline or not any(state in GREETING for state in states.values()):
            return states
        time.sleep(0.2)


def _adb(*arguments: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            ["adb", *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT_S
        )
    except OSError as error:
        raise BenchmarkError(
            f"the program 'adb' does not start ({error.strerror}): install it (Debian: apt install adb)"
        ) from error
    except subprocess.TimeoutExpired:
        raise BenchmarkError("adb does not answer: run 'adb kill-server', and try again") from None
