"""A power sensor: one try to read it, with the reason when it is of no use, and the probe that it becomes.

The probes in ``probes/`` do not read their sensor while a network runs yet, and say so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgevid.specs import Availability

SYSFS = Path("/sys")


@dataclass(frozen=True)
class PowerSensor:
    """``readings`` are what one try returned, by rail, in ``unit`` (uJ counts up, mW and W are momentary).

    ``why`` is empty for a usable sensor. ``simulated`` marks one that was read from another tree than
    the kernel's own.
    """

    name: str
    readings: dict[str, float]
    unit: str
    why: str = ""
    simulated: bool = False

    @property
    def ok(self) -> bool:
        return not self.why

    def describe(self) -> str:
        """A line such as ``RAPL: package-0 123 uJ``, marked if it is simulated."""
        values = ", ".join(f"{rail} {value:g} {self.unit}" for rail, value in self.readings.items())
        mark = " (simulated)" if self.simulated else ""
        return f"{self.name}{mark}: {values if self.ok else self.why}"


class SensorProbe:
    """A kind of sensor, which one of the ``drivers`` reads below a ``sysfs`` folder."""

    def __init__(
        self, name: str, title: str, *drivers: Callable[[Path], PowerSensor], sysfs: Path = SYSFS
    ) -> None:
        self.name, self.title, self.sysfs, self.drivers = name, title, sysfs, drivers

    def sensors(self) -> list[PowerSensor]:
        """One try of each driver."""
        return [driver(self.sysfs) for driver in self.drivers]

    def available(self) -> Availability:
        sensors = self.sensors()
        usable = [sensor.describe() for sensor in sensors if sensor.ok]
        if usable:
            return Availability(True, "; ".join(usable))
        mend = "measure power on a board that has this sensor"
        if any("root" in sensor.why for sensor in sensors):
            mend = "run as root, or let a group read it with a udev rule"
        return Availability(False, self.title, "; ".join(sensor.describe() for sensor in sensors), mend)

    def __enter__(self) -> SensorProbe:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def fields(self) -> dict[str, Any]:
        here = self.available()
        return {
            "power_w": None,
            "why_no_power": f"a sensor exists but is not yet read while a network runs ({here.what})",
        }


def sensor_of(name: str, readings: dict[str, float], unit: str, why: str, sysfs: Path) -> PowerSensor:
    return PowerSensor(name, readings, unit, "" if readings else why, simulated=sysfs != SYSFS)


def read_text(file: Path) -> str:
    return file.read_text().strip()


def reason_of(error: OSError | ValueError, file: str) -> str:
    if isinstance(error, PermissionError):
        return f"only root may read {file}"
    if isinstance(error, OSError):
        return f"{Path(error.filename or file).name} cannot be read: {error.strerror}"
    return f"{file} holds no number"
