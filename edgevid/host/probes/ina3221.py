"""The power monitor of Jetson boards, under both generations of its driver.

The kernel's Documentation/hwmon/ina3221.rst; NVIDIA Jetson Linux Developer Guide, "Power and Performance".
"""

from __future__ import annotations

from pathlib import Path

from edgevid.host.power import PowerSensor, SensorProbe, read_text, reason_of, sensor_of


def _hwmon(sysfs: Path) -> PowerSensor:
    """JetPack 5 and later: mV and mA of up to three labelled rails."""
    readings, error = {}, "no device of the driver ina3221 under /sys/bus/i2c"
    for label in sorted(sysfs.glob("bus/i2c/drivers/ina3221/*/hwmon/hwmon*/in[1-3]_label")):
        channel = label.name[2]
        try:
            millivolts = float(read_text(label.with_name(f"in{channel}_input")))
            milliamperes = float(read_text(label.with_name(f"curr{channel}_input")))
            readings[read_text(label)] = millivolts * milliamperes / 1000
        except (OSError, ValueError) as exception:
            error = reason_of(exception, label.name)
    return sensor_of("INA3221 (hwmon)", readings, "mW", error, sysfs)


def _iio(sysfs: Path) -> PowerSensor:
    """JetPack 4: ``in_powerN_input`` in mW, named by ``rail_name_N``."""
    readings, error = {}, "no device of the driver ina3221x under /sys/bus/i2c"
    for power in sorted(sysfs.glob("bus/i2c/drivers/ina3221x/*/iio:device*/in_power[0-2]_input")):
        channel = power.name[len("in_power")]
        try:
            readings[read_text(power.with_name(f"rail_name_{channel}"))] = float(read_text(power))
        except (OSError, ValueError) as exception:
            error = reason_of(exception, power.name)
    return sensor_of("INA3221 (iio)", readings, "mW", error, sysfs)


PROBE = SensorProbe("ina3221", "Power monitor of Jetson boards", _hwmon, _iio)
