"""Measure on a board that is reached by ``ssh`` or ``adb``: the programs of the system, no library.

``device_at(address)`` gives a ``Device``. One connection runs one program there (``program``, ``board``),
which says what it lacks, holds the board's lock, measures, and leaves when the connection is gone. No name of
a user, a bundle or a file is part of a command: names travel as JSON on the program's standard input.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgevid.benchmarks.devices.address import FORMS, AdbAddress, is_device, parse

if TYPE_CHECKING:
    from edgevid.benchmarks.devices.device import Device

__all__ = ["FORMS", "device_at", "is_device"]


def device_at(address: str) -> Device:
    """The board at an address. Nothing is connected yet; ``BenchmarkError`` lists the forms of addresses."""
    from edgevid.benchmarks.devices.adb import Adb
    from edgevid.benchmarks.devices.device import Device
    from edgevid.benchmarks.devices.ssh import Ssh

    parts = parse(address)
    return Device(Adb(parts) if isinstance(parts, AdbAddress) else Ssh(parts))
