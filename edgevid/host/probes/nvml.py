"""The power of NVIDIA GPUs, as their driver's library NVML reports it."""

from __future__ import annotations

from pathlib import Path

from edgevid.host.commands import ask
from edgevid.host.power import PowerSensor, SensorProbe


def _read(sysfs: Path) -> PowerSensor:
    """Asked of nvidia-smi; integrated GPUs (Jetson) answer ``[N/A]``."""
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


PROBE = SensorProbe("nvml", "NVIDIA GPU, by its driver", _read)
