"""The kernel's temperatures, from thermal zones and hwmon, in degrees Celsius."""

from __future__ import annotations

from pathlib import Path

SYSFS = Path("/sys")
NO_SENSOR = "no thermal zone and no hwmon temperature under /sys/class could be read"


def temperatures_c(sysfs: Path = SYSFS) -> dict[str, float]:
    """The readable temperatures by the name of the sensor.

    Source: the kernel's Documentation/driver-api/thermal/sysfs-api.rst and hwmon/sysfs-interface.rst; both
    use thousandths of a degree. Disabled zones cannot be read and are left out.
    """
    temperatures: dict[str, float] = {}
    for file in sorted(sysfs.glob("class/thermal/thermal_zone*/temp")):
        _add(temperatures, file, file.parent / "type")
    for file in sorted(sysfs.glob("class/hwmon/hwmon*/temp*_input")):
        label = file.with_name(file.name.replace("_input", "_label"))
        _add(temperatures, file, label if label.is_file() else file.parent / "name")
    return temperatures


def _add(temperatures: dict[str, float], file: Path, name_file: Path) -> None:
    try:
        celsius = int(file.read_text()) / 1000
        name = name_file.read_text().strip()
    except (OSError, ValueError):
        return
    # Two zones may have the same name; then the folder distinguishes them.
    temperatures[f"{name} ({file.parent.name})" if name in temperatures else name] = celsius
