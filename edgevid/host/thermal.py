"""Temperatures that the kernel publishes: thermal zones and hwmon, in degrees Celsius."""

from __future__ import annotations

from pathlib import Path

SYSFS = Path("/sys")
WHY_NONE = "no thermal zone and no hwmon temperature under /sys/class could be read"


def temperatures_c(sysfs: Path = SYSFS) -> dict[str, float]:
    """Each temperature that can be read, by the name of its sensor; empty if there is none.

    Source: the kernel's Documentation/driver-api/thermal/sysfs-api.rst and hwmon/sysfs-interface.rst; both
    files hold thousandths of a degree. Zones that are switched off fail to read and are left out.
    """
    found: dict[str, float] = {}
    for file in sorted(sysfs.glob("class/thermal/thermal_zone*/temp")):
        _add(found, file, file.parent / "type")
    for file in sorted(sysfs.glob("class/hwmon/hwmon*/temp*_input")):
        label = file.with_name(file.name.replace("_input", "_label"))
        _add(found, file, label if label.is_file() else file.parent / "name")
    return found


def _add(found: dict[str, float], file: Path, name_file: Path) -> None:
    try:
        celsius = int(file.read_text()) / 1000
        name = name_file.read_text().strip()
    except (OSError, ValueError):
        return
    # Two zones may bear the same name; the folder tells them apart.
    found[f"{name} ({file.parent.name})" if name in found else name] = celsius
