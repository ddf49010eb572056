"""The battery of an Android phone (the kernel's Documentation/power/power_supply_class.rst).

Its gauge updates once a second or slower, so windows of a minute and more are needed. USB charges, so use
adb over Wi-Fi; ``dumpsys battery unplug`` only pretends, and the current is still the charger's.
"""

from __future__ import annotations

from dataclasses import replace

from edgevid.host.power.files import Files, read_or_none
from edgevid.host.power.probe import SensorProbe
from edgevid.host.power.sensor import NoSensorError, Rail, Samples, Sensor, SensorError

BATTERY = "sys/class/power_supply/battery"
MILLI_BELOW = 20_000
"""Documented are uA and uV; some phones give mA and mV. No loaded phone draws less than 20 mA."""
GAUGE_STEP_A = 0.001
REMEDY = "unplug the charger and USB, and connect adb over Wi-Fi"


def find(files: Files, rails: tuple[str, ...] = ()) -> Sensor:
    """The battery's current times its voltage; ``SensorError`` unless it is discharging."""
    paths = [f"{BATTERY}/{name}" for name in ("current_now", "voltage_now", "status")]
    try:
        status = read_or_none(files, paths[2])
        if status is None or read_or_none(files, paths[0]) is None:
            raise NoSensorError(f"Android battery: no gauge of current under /{BATTERY}")
        float(files.read(paths[0])), float(files.read(paths[1]))
    except PermissionError as error:
        why = f"Android battery: {error.filename} may not be read"
        raise SensorError(why, "run it in 'adb shell', whose user may") from None
    except (OSError, ValueError) as error:
        raise SensorError(f"Android battery: {error}", "use an external meter") from None
    if status != "Discharging":
        raise SensorError(
            f"the battery is not discharging ({status}), so its current is not the phone's", REMEDY
        )
    return Sensor(
        "Android battery",
        "device",
        (Rail("battery", (0, 1), 1e-12, 0.0, absolute=True),),
        ("battery",),
        files.source(paths, r"(-?\d+)\n(\d+)\nDischarging"),
        update_s=1.0,
        interval_s=0.25,
        simulated=files.simulated,
        shortest_window_s=60.0,
        refine=_units,
    )


def _units(sensor: Sensor, samples: Samples) -> Sensor:
    """Units by magnitude. The sign says nothing: phones disagree on that of a discharge."""
    current, voltage = (max(map(abs, column)) for column in samples.columns)
    if current == 0:
        raise SensorError(
            "this phone does not support current_now, which is always 0", "use an external meter"
        )
    amperes = 1e-3 if current < MILLI_BELOW else 1e-6
    volts = 1e-3 if voltage < MILLI_BELOW else 1e-6
    (rail,) = sensor.rails
    rail = replace(rail, scale=amperes * volts, resolution=GAUGE_STEP_A * voltage * volts)
    return replace(sensor, rails=(rail,))


PROBE = SensorProbe("android-battery", "Battery of an Android phone, while it discharges", find)
