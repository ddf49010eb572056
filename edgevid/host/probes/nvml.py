"""The power of NVIDIA GPUs, as reported by the driver's library NVML."""

from __future__ import annotations

from pathlib import Path

from edgevid.host import commands
from edgevid.host.power import PowerSensor, SensorProbe


def _read(sysfs: Path) -> PowerSensor:
    """Read with nvidia-smi, which prints ``[N/A]`` for integrated GPUs (Jetson)."""
    result = commands.run(["nvidia-smi", "--query-gpu=name,power.draw", "--format=csv,noheader,nounits"])
    if not result.ok:
        return PowerSensor("NVIDIA", {}, "W", result.error)
    readings = {}
    for index, line in enumerate(result.output.splitlines()):
        name, _, watts = line.rpartition(",")
        try:
            readings[f"{name.strip()} #{index}"] = float(watts)
        except ValueError:
            continue
    return PowerSensor("NVIDIA", readings, "W", "" if readings else "the driver reports no power.draw")


PROBE = SensorProbe("nvml", "NVIDIA GPU, by its driver", _read)
