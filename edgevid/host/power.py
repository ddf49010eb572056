"""Which power sensors this machine has, each one tried, with the reason when it is of no use.

They are probes (see ``probes``) that do not read their sensor while a network runs yet, and say so.
Sources: the kernel's Documentation/power/powercap/powercap.rst (RAPL) and hwmon/ina3221.rst; NVIDIA Jetson
Linux Developer Guide, "Power and Performance" (the paths of both driver generations).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgevid.host.commands import ask
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


def _rapl(sysfs: Path) -> PowerSensor:
    """Energy counters of Intel and AMD processors; since Linux 5.10 only root may read them."""
    readings, why = {}, "no zone under /sys/class/powercap"
    for zone in sorted(sysfs.glob("class/powercap/*rapl*:*")):
        try:
            # "core" exists once per socket, so the folder belongs to the name
            readings[f"{_text(zone / 'name')} ({zone.name})"] = float(_text(zone / "energy_uj"))
        except (OSError, ValueError) as error:
            why = _reason(error, "energy_uj")
    return _sensor("RAPL", readings, "uJ", why, sysfs)


def _ina3221_hwmon(sysfs: Path) -> PowerSensor:
    """The power monitor of Jetson boards, JetPack 5 and later: mV and mA of up to three labelled rails."""
    readings, why = {}, "no device of the driver ina3221 under /sys/bus/i2c"
    for label in sorted(sysfs.glob("bus/i2c/drivers/ina3221/*/hwmon/hwmon*/in[1-3]_label")):
        channel = label.name[2]
        try:
            millivolts = float(_text(label.with_name(f"in{channel}_input")))
            milliamperes = float(_text(label.with_name(f"curr{channel}_input")))
            readings[_text(label)] = millivolts * milliamperes / 1000
        except (OSError, ValueError) as error:
            why = _reason(error, label.name)
    return _sensor("INA3221 (hwmon)", readings, "mW", why, sysfs)


def _ina3221_iio(sysfs: Path) -> PowerSensor:
    """The same chip under JetPack 4: ``in_powerN_input`` in mW, beside ``rail_name_N``."""
    readings, why = {}, "no device of the driver ina3221x under /sys/bus/i2c"
    for power in sorted(sysfs.glob("bus/i2c/drivers/ina3221x/*/iio:device*/in_power[0-2]_input")):
        channel = power.name[len("in_power")]
        try:
            readings[_text(power.with_name(f"rail_name_{channel}"))] = float(_text(power))
        except (OSError, ValueError) as error:
            why = _reason(error, power.name)
    return _sensor("INA3221 (iio)", readings, "mW", why, sysfs)


def _nvidia(sysfs: Path = SYSFS) -> PowerSensor:
    """What NVML reports through nvidia-smi; integrated GPUs (Jetson) answer ``[N/A]``."""
    answer = ask(["nvidia-smi", "--query-gpu=name,power.draw", "--format=csv,noheader,nounits"])
    if not answer.ok:
        return PowerSensor("NVIDIA", {}, "W", answer.why)
    readings = {}
    for index, line in enumerate(answer.output.splitlines()):
        name, _, watts = line.rpartition(",")
        try:
            readings[f"{name.strip()} #{index}"] = float(watts)
        except ValueError:
            continue
    return PowerSensor("NVIDIA", readings, "W", "" if readings else "the driver reports no power.draw")


def _sensor(name: str, readings: dict[str, float], unit: str, why: str, sysfs: Path) -> PowerSensor:
    return PowerSensor(name, readings, unit, "" if readings else why, simulated=sysfs != SYSFS)


def _text(file: Path) -> str:
    return file.read_text().strip()


def _reason(error: OSError | ValueError, file: str) -> str:
    if isinstance(error, PermissionError):
        return f"only root may read {file}"
    if isinstance(error, OSError):
        return f"{Path(error.filename or file).name} cannot be read: {error.strerror}"
    return f"{file} holds no number"


PROBES = (
    SensorProbe("rapl", "Energy counters of Intel and AMD processors", _rapl),
    SensorProbe("ina3221", "Power monitor of Jetson boards", _ina3221_hwmon, _ina3221_iio),
    SensorProbe("nvml", "NVIDIA GPU, by its driver", _nvidia),
)
