"""The power monitors of Jetson boards: INA3221 under both generations of its driver, INA238 (Thor).

The kernel's Documentation/hwmon/ina3221.rst and ina238.rst; NVIDIA Jetson Linux Developer Guide, "Power and
Performance". No board was at hand: tests run on simulated trees.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import hypot
from pathlib import PurePosixPath
from typing import NamedTuple

from edgevid.host.power.files import Files, read_or_none
from edgevid.host.power.probe import SensorProbe
from edgevid.host.power.sensor import NoSensorError, Rail, Sensor, SensorError
from edgevid.host.probes.jetson_totals import total_of

DEVICES = "sys/bus/i2c/devices"
REMEDY = "run as root, or let a group read it with a udev rule"
SHUNT_STEP_UV, BUS_STEP_MV = 40.0, 8.0
"""The steps of the INA3221's registers."""
USUAL_SHUNT_UOHM = 5000.0
UPDATE_S = 0.1
"""Where the driver does not tell how often it measures."""
INTERVAL_S = 0.1
"""A file takes half a millisecond to read, over I2C."""


class Channel(NamedTuple):
    """A rail as a driver shows it: the product of the ``files`` times ``scale`` is its watts."""

    chip: str
    label: str
    files: tuple[str, ...]
    scale: float
    resolution_w: float
    update_s: float


def find(files: Files, rails: tuple[str, ...] = ()) -> Sensor:
    """The channels of every chip, and as total the rails that the module's table, or ``rails``, names."""
    found, chips = [], set()
    for device in files.glob(f"{DEVICES}/*-*"):
        driver = read_or_none(files, f"{device}/name") or ""
        for prefix, chip, folders, channels in DRIVERS:
            for folder in files.glob(f"{device}/{folders}") if driver.startswith(prefix) else ():
                chips.add(chip)
                found += _readable(channels(files, folder))
    if not found:
        raise NoSensorError(f"INA3221: no power monitor of a Jetson under /{DEVICES}")
    labels = [channel.label for channel in found]
    columns: list[str] = []
    measured: list[Rail] = []
    for channel in found:
        unique = channel.label if labels.count(channel.label) == 1 else f"{channel.label} ({channel.chip})"
        places = tuple(range(len(columns), len(columns) + len(channel.files)))
        measured.append(Rail(unique, places, channel.scale, channel.resolution_w))
        columns += channel.files
    scope, total, why = total_of(files, [rail.label for rail in measured], rails)
    return Sensor(
        " and ".join(sorted(chips)),
        scope,
        tuple(measured),
        total,
        files.source(columns),
        interval_s=INTERVAL_S,
        update_s=max(channel.update_s for channel in found),
        simulated=files.simulated,
        why_no_total=why,
    )


def _readable(channels: Iterator[Channel]) -> list[Channel]:
    try:
        return list(channels)
    except PermissionError as error:
        raise SensorError(
            f"INA3221: only root can read {PurePosixPath(error.filename).name}", REMEDY
        ) from None
    except (OSError, ValueError) as error:
        raise SensorError(f"INA3221: {error}", "load the driver again, or see dmesg") from None


def _hwmon(files: Files, folder: str) -> Iterator[Channel]:
    """JetPack 5 and later: mV and mA of three channels. ``in7`` is a sum that leaves rails out."""
    update_ms = read_or_none(files, f"{folder}/update_interval")
    for channel in "123":
        label = read_or_none(files, f"{folder}/in{channel}_label")
        if label in (None, "NC") or read_or_none(files, f"{folder}/in{channel}_enable") == "0":
            continue
        paths = (f"{folder}/in{channel}_input", f"{folder}/curr{channel}_input")
        millivolts, milliamperes = (_number(files, path) for path in paths)
        shunt_uohm = float(read_or_none(files, f"{folder}/shunt{channel}_resistor") or USUAL_SHUNT_UOHM)
        step_ma = 1000 * SHUNT_STEP_UV / shunt_uohm
        resolution_w = hypot(millivolts * step_ma, milliamperes * BUS_STEP_MV) * 1e-6
        yield Channel(
            _chip(folder), label or "", paths, 1e-6, resolution_w, float(update_ms or 1e3 * UPDATE_S) / 1e3
        )


def _iio(files: Files, folder: str) -> Iterator[Channel]:
    """JetPack 4: ``in_powerN_input`` in mW, named by ``rail_name_N``."""
    for path in files.glob(f"{folder}/rail_name_[0-2]"):
        channel, label = path[-1], files.read(path)
        if label == "NC":
            continue
        power = f"{folder}/in_power{channel}_input"
        _number(files, power)
        volts = float(read_or_none(files, f"{folder}/in_voltage{channel}_input") or 5000) / 1e3
        yield Channel(
            _chip(folder), label, (power,), 1e-3, volts * SHUNT_STEP_UV / USUAL_SHUNT_UOHM, UPDATE_S
        )


def _ina238(files: Files, folder: str) -> Iterator[Channel]:
    """One channel: ``power1_input`` in uW, in steps of about 10 mW."""
    path = f"{folder}/power1_input"
    _number(files, path)
    yield Channel(
        _chip(folder), read_or_none(files, f"{folder}/label") or "VIN", (path,), 1e-6, 0.01, UPDATE_S
    )


def _number(files: Files, path: str) -> float:
    text = files.read(path)
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{PurePosixPath(path).name} does not contain a number, but {text[:20]!r}") from None


def _chip(folder: str) -> str:
    return PurePosixPath(folder).relative_to(DEVICES).parts[0]


DRIVERS: tuple[tuple[str, str, str, Callable[[Files, str], Iterator[Channel]]], ...] = (
    ("ina3221", "INA3221", "hwmon/hwmon*", _hwmon),
    ("ina3221x", "INA3221", "iio*device*", _iio),
    ("ina238", "INA238", "hwmon/hwmon*", _ina238),
)
"""The beginning of a device's name, its chip, the folders of its driver, and how to read them."""

PROBE = SensorProbe("ina3221", "Power monitors of Jetson boards", find)
