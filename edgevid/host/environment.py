"""The device and the software that a measurement was really made with.

The bundle's manifest says which target was asked for; this says what was observed. What could not be read
is null, and ``not_read`` gives the reason by key.
"""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any

import psutil

from edgevid.host.commands import ask
from edgevid.host.memory import MIB
from edgevid.host.processor import board, describe_cpu
from edgevid.host.thermal import WHY_NONE, temperatures_c

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
    """Look at the device now, for 0.3 s. Call it before the load of the measurement itself begins."""
    cpu, not_read = describe_cpu(sysfs, proc)
    temperature = temperatures_c(sysfs)
    if not temperature:
        not_read["temperature_c"] = WHY_NONE
    gpus, why_no_gpu = _nvidia_gpus()
    if why_no_gpu:
        not_read["gpus"] = why_no_gpu
    memory = psutil.virtual_memory()
    device_board = board(sysfs)
    return {
        "device": _label(device_board, cpu, gpus),
        "board": device_board,
        "cpu": cpu,
        "gpus": gpus,
        "temperature_c": temperature or None,
        # The load average still counts what ended a minute ago, such as an export; this is now.
        "busy_percent": psutil.cpu_percent(BUSY_WINDOW_S),
        "load_average": list(os.getloadavg()) if hasattr(os, "getloadavg") else None,
        "memory_total_mib": memory.total / MIB,
        "memory_available_mib": memory.available / MIB,
        "os": _operating_system(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "packages": _versions(),
        "edgevid": {"version": importlib.metadata.version("edgevid"), **_checkout()},
        "thread_variables": {name: os.environ[name] for name in THREAD_VARIABLES if name in os.environ},
        "date_utc": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "not_read": not_read,
    }


def environment_warnings(environment: dict[str, Any]) -> list[str]:
    """One sentence for each thing about the device that makes its times doubtful."""
    found = []
    if (environment["busy_percent"] or 0) > BUSY_PERCENT:  # null: a board over RPC does not tell
        found.append(
            f"other programs kept the CPU {environment['busy_percent']:.0f}% busy just before the "
            "measurement: stop them, and measure again"
        )
    governor = environment["cpu"]["governor"]
    if governor in SLOW_GOVERNORS:
        found.append(
            f"the CPU frequency governor is '{governor}': "
            "'cpupower frequency-set -g performance' makes times repeatable"
        )
    return found


def _label(device_board: str | None, cpu: dict[str, Any], gpus: list[dict[str, str]] | None) -> str:
    """One line that names the device, to tell results of different devices apart."""
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
    """Versions of the packages that can change a time, as far as they are installed."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _checkout() -> dict[str, Any]:
    """Commit of the edgevid checkout, and whether files were changed since; null for an installed one."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return {"commit": None, "changed": None}
    commit = ask(["git", "-C", str(root), "rev-parse", "HEAD"])
    status = ask(["git", "-C", str(root), "status", "--porcelain"])
    return {
        "commit": commit.output if commit.ok else None,
        "changed": bool(status.output) if status.ok else None,
    }


def _nvidia_gpus() -> tuple[list[dict[str, str]] | None, str]:
    """Name and driver of each NVIDIA GPU, or the reason why there is none to be seen."""
    answer = ask(["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"])
    if not answer.ok:
        return None, answer.why
    lines = (line.rpartition(",") for line in answer.output.splitlines())
    return [{"name": name.strip(), "driver": driver.strip()} for name, _, driver in lines], ""
