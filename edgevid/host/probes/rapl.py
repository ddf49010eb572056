"""Energy counters of Intel and AMD processors (the kernel's Documentation/power/powercap/powercap.rst)."""

from __future__ import annotations

from pathlib import Path

from edgevid.host.power import PowerSensor, SensorProbe, read_text, reason_of, sensor_of


def _read(sysfs: Path) -> PowerSensor:
    """A zone for each part of a processor; since Linux 5.10 only root can read them."""
    readings, error = {}, "no zone under /sys/class/powercap"
    for zone in sorted(sysfs.glob("class/powercap/*rapl*:*")):
        try:
            # "core" exists once per socket, so the name includes the folder.
            readings[f"{read_text(zone / 'name')} ({zone.name})"] = float(read_text(zone / "energy_uj"))
        except (OSError, ValueError) as exception:
            error = reason_of(exception, "energy_uj")
    return sensor_of("RAPL", readings, "uJ", error, sysfs)


PROBE = SensorProbe("rapl", "Energy counters of Intel and AMD processors", _read)
