"""Power sensors: one reading or the reason why there is none, and the probe that wraps them.

The probes in ``probes/`` do not yet read their sensor while a network runs, and report so.
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
    """One reading of each rail, in ``unit`` (uJ is a counter, mW and W are momentary).

    ``error`` is empty for a usable sensor. ``simulated`` marks one that was read from a tree other than
    the kernel's.
    """

    name: str
    readings: dict[str, float]
    unit: str
    error: str = ""
    simulated: bool = False

    @property
    def ok(self) -> bool:
        return not self.error

    def describe(self) -> str:
        """A line such as ``RAPL: package-0 123 uJ``, marked if it is simulated."""
        values = ", ".join(f"{rail} {value:g} {self.unit}" for rail, value in self.readings.items())
        mark = " (simulated)" if self.simulated else ""
        return f"{self.name}{mark}: {values if self.ok else self.error}"


class SensorProbe:
    """A kind of sensor; each of the ``drivers`` tries to read it below a ``sysfs`` folder."""

    def __init__(
        self, name: str, title: str, *drivers: Callable[[Path], PowerSensor], sysfs: Path = SYSFS
    ) -> None:
        self.name, self.title, self.sysfs, self.drivers = name, title, sysfs, drivers

    def sensors(self) -> list[PowerSensor]:
        """The result of each driver."""
        return [driver(self.sysfs) for driver in self.drivers]

    def available(self) -> Availability:
        sensors = self.sensors()
        usable = [sensor.describe() for sensor in sensors if sensor.ok]
        if usable:
            return Availability(True, "; ".join(usable))
        remedy = "measure power on a board that has this sensor"
        if any("root" in sensor.error for sensor in sensors):
            remedy = "run as root, or let a group read it with a udev rule"
        return Availability(False, self.title, "; ".join(sensor.describe() for sensor in sensors), remedy)

    def __enter__(self) -> SensorProbe:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def fields(self) -> dict[str, Any]:
        availability = self.available()
        return {
            "power_w": None,
            "why_no_power": f"a sensor exists but is not yet read while a network runs ({availability.what})",
        }


def sensor_of(name: str, readings: dict[str, float], unit: str, error: str, sysfs: Path) -> PowerSensor:
    return PowerSensor(name, readings, unit, "" if readings else error, simulated=sysfs != SYSFS)


def read_text(file: Path) -> str:
    return file.read_text().strip()


def reason_of(error: OSError | ValueError, file: str) -> str:
    if isinstance(error, PermissionError):
        return f"only root can read {file}"
    if isinstance(error, OSError):
        return f"{Path(error.filename or file).name} cannot be read: {error.strerror}"
    return f"{file} does not contain a number"
