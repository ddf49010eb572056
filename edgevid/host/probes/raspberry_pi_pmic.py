"""The power management chip of a Raspberry Pi 5, by ``vcgencmd pmic_read_adc``.

It has current and voltage of the rails behind it. The 5 V input has no current, so that losses and USB
devices are not in the sum.
"""

from __future__ import annotations

import re

from edgevid.host.power.files import Files, read_or_none
from edgevid.host.power.probe import SensorProbe
from edgevid.host.power.sensor import NoSensorError, Rail, Sensor, SensorError

MODEL = "proc/device-tree/model"
COMMAND = ["vcgencmd", "pmic_read_adc"]
LINE = re.compile(r"(\w+)_([AV]) (?:current|volt)\(\d+\)=(-?[\d.]+)[AV]")
STEP_A = 0.001
"""The currents move in steps of about 1 mA."""


def find(files: Files, rails: tuple[str, ...] = ()) -> Sensor:
    """Each rail that has both current and voltage; their sum is the total."""
    model = read_or_none(files, MODEL) or ""
    if not model.startswith("Raspberry Pi"):
        raise NoSensorError("Raspberry Pi PMIC: this is not a Raspberry Pi")
    result = files.run(COMMAND)
    if not result.ok:
        if "not registered" in result.error or not re.search(r"Pi (5|500|Compute Module 5)", model):
            raise NoSensorError(f"Raspberry Pi PMIC: {model} cannot read it ({result.error})")
        remedy = "install vcgencmd (apt install raspi-utils), and join the group 'video'"
        raise SensorError(f"Raspberry Pi PMIC: {result.error}", remedy)
    readings = LINE.findall(result.output)
    columns = {(name, kind): place for place, (name, kind, _) in enumerate(readings)}
    values = {(name, kind): float(value) for name, kind, value in readings}
    measured = tuple(
        Rail(name, (place, columns[name, "V"]), 1.0, STEP_A * values[name, "V"])
        for (name, kind), place in columns.items()
        if kind == "A" and (name, "V") in columns
    )
    if not measured:
        raise NoSensorError(f"Raspberry Pi PMIC: {model} does not read currents")
    return Sensor(
        "Raspberry Pi PMIC",
        "PMIC rails, without the 5 V input",
        measured,
        tuple(rail.label for rail in measured),
        {"command": COMMAND, "pattern": r"\w+_[AV] (?:current|volt)\(\d+\)=(-?[\d.]+)[AV]"},
        interval_s=0.1,
        simulated=files.simulated,
    )


PROBE = SensorProbe("raspberry-pi-pmic", "Power management chip of a Raspberry Pi 5", find)
