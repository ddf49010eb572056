"""The observed device and software of a measurement.

The bundle's manifest has the target of the export; this module records what was observed. What could not be
read is null, and ``not_read`` gives the reason by key.
"""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any

import psutil

from edgevid.host import commands
from edgevid.host.memory import MIB
from edgevid.host.processor import board, describe_cpu
from edgevid.host.thermal import NO_SENSOR, temperatures_c

SYSFS = Path("/sys")
PROC = Path("/proc")

PACKAGES = ("onnxruntime", "onnxruntime-gpu", "numpy", "tensorrt", "apache-tvm", "openvino", "torch", "onnx")
THREAD_VARIABLES = (
    "OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_CPU_AFFINITY", "KMP_AFFINITY", "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS", "ORT_NUM_THREADS", "TVM_NUM_THREADS",
)  # fmt: skip
BUSY_PERCENT = 15.0
BUSY_WINDOW_S = 0.3
SLOW_GOVERNORS = ("powersave", "conservative")


def observe(sysfs: Path = SYSFS, proc: Path = PROC) -> dict[str, Any]:
    """Observe the device for 0.3 s. Call it before the measurement's own load begins."""
    cpu, not_read = describe_cpu(sysfs, proc)
    temperature = temperatures_c(sysfs)
    if not temperature:
        not_read["temperature_c"] = NO_SENSOR
    gpus, gpu_error = _nvidia_gpus()
    if gpu_error:
        not_read["gpus"] = gpu_error
    power_mode, power_mode_error = _power_mode()
    if power_mode_error:
        not_read["power_mode"] = power_mode_error
    memory = psutil.virtual_memory()
    device_board = board(sysfs)
    return {
        "device": _label(device_board, cpu, gpus),
        "board": device_board,
        "cpu": cpu,
        "gpus": gpus,
        "power_mode": power_mode,
        "temperature_c": temperature or None,
        # The load average includes what ended a minute ago, such as an export; this does not.
        "busy_percent": psutil.cpu_percent(BUSY_WINDOW_S),
        "load_average": list(os.getloadavg()) if hasattr(os, "getloadavg") else None,
        "memory_total_mib": memory.total / MIB,
        "memory_available_mib": memory.available / MIB,
        "os": _operating_system(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "packages": _versions(),
        "edgevid": {"version": importlib.metadata.version("edgevid"), **checkout()},
        "thread_variables": {name: os.environ[name] for name in THREAD_VARIABLES if name in os.environ},
        "date_utc": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "not_read": not_read,
    }


def environment_warnings(environment: dict[str, Any]) -> list[str]:
    """One sentence for each reason to doubt times measured on this device."""
    warnings = []
    if (environment["busy_percent"] or 0) > BUSY_PERCENT:  # null for a board over RPC
        warnings.append(
            f"other programs kept the CPU {environment['busy_percent']:.0f}% busy just before the "
            "measurement: stop them, and measure again"
        )
    governor = environment["cpu"]["governor"]
    if governor in SLOW_GOVERNORS:
        warnings.append(
            f"the CPU frequency governor is '{governor}': "
            "run 'cpupower frequency-set -g performance' to make times repeatable"
        )
    return warnings


def _label(device_board: str | None, cpu: dict[str, Any], gpus: list[dict[str, str]] | None) -> str:
    """One line that identifies the device in tables of results."""
    parts = [device_board] if device_board else []
    parts.append(f"{cpu['model']} ({cpu['architecture']}, {cpu['usable_cores']} cores)")
    parts += [gpu["name"] for gpu in gpus or []]
    return "; ".join(parts)


def _operating_system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return f"{platform.system()} {platform.version()}"


def _versions() -> dict[str, str]:
    """Versions of the installed packages that can affect times."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def checkout() -> dict[str, Any]:
    """The commit of the edgevid checkout, and whether files differ from it; null for an installed package."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return {"commit": None, "changed": None}
    commit = commands.run(["git", "-C", str(root), "rev-parse", "HEAD"])
    status = commands.run(["git", "-C", str(root), "status", "--porcelain"])
    return {
        "commit": commit.output if commit.ok else None,
        "changed": bool(status.output) if status.ok else None,
    }


def _power_mode() -> tuple[dict[str, str] | None, str]:
    """A Jetson's power mode, and whether ``jetson_clocks`` fixed its clocks; or the reason for neither.

    ``nvpmodel -q`` prints ``NV Power Mode: 15W`` and then the mode's number.
    """
    mode = commands.run(["nvpmodel", "-q"])
    if not mode.ok:
        return None, mode.error
    names = [line.partition(":")[2].strip() for line in mode.output.splitlines() if "Power Mode" in line]
    clocks = commands.run(["jetson_clocks", "--show"])  # only root can
    return {
        "nvpmodel": names[0] if names else mode.output,
        "jetson_clocks": clocks.output if clocks.ok else f"not read: {clocks.error}",
    }, ""


def _nvidia_gpus() -> tuple[list[dict[str, str]] | None, str]:
    """Name and driver of each NVIDIA GPU, or the reason why none was found."""
    result = commands.run(["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"])
    if not result.ok:
        return None, result.error
    lines = (line.rpartition(",") for line in result.output.splitlines())
    return [{"name": name.strip(), "driver": driver.strip()} for name, _, driver in lines], ""
