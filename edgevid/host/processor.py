"""The processor of this machine: model, cores, instruction sets, frequency and governor."""

from __future__ import annotations

import functools
import os
import platform
from pathlib import Path
from typing import Any

SYSFS, PROC = Path("/sys"), Path("/proc")
CPUINFO = PROC / "cpuinfo"

ARCHITECTURES = {"amd64": "x86_64", "arm64": "aarch64"}
"""Architecture names of operating systems that differ from those in target files."""

INSTRUCTION_SETS = {
    "sse4_2", "avx", "avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512vl", "avx512_vnni", "avx512_bf16",
    "avx512_fp16", "avx_vnni", "amx_tile", "amx_int8", "amx_bf16",
    "asimd", "asimdhp", "asimddp", "i8mm", "bf16", "sve", "sve2",
}  # fmt: skip
"""Instruction sets that affect a backend's choice of kernels, by the Linux kernel's names."""


def architecture(machine: str | None = None) -> str:
    """The architecture of this machine, or of ``machine``, in one spelling: ``x86_64``, ``aarch64``."""
    name = (machine or platform.machine()).lower()
    return ARCHITECTURES.get(name, name)


def usable_threads() -> int:
    """The number of logical processors that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def usable_cores() -> int:
    """The number of physical cores that this process may run on."""
    import psutil

    allowed = usable_threads()
    return max(1, min(allowed, psutil.cpu_count(logical=False) or allowed))


def processor_flags(cpuinfo: Path = CPUINFO) -> frozenset[str]:
    """The flags of an x86-64 processor by Linux's names; empty where they cannot be read."""
    return frozenset(_cpuinfo(cpuinfo).get("flags", "").split())


@functools.cache
def model(cpuinfo: Path = CPUINFO) -> str:
    """The processor's model name, or on arm64 its implementer and part numbers."""
    return _model(_cpuinfo(cpuinfo))


def describe_cpu(sysfs: Path = SYSFS, proc: Path = PROC) -> tuple[dict[str, Any], dict[str, str]]:
    """Facts about the CPU; and by key the reasons for those that cannot be read."""
    import psutil

    fields = _cpuinfo(proc / "cpuinfo")
    unread: dict[str, str] = {}
    cpu: dict[str, Any] = {
        "model": _model(fields),
        "architecture": platform.machine(),
        "physical_cores": psutil.cpu_count(logical=False),
        "logical_cores": psutil.cpu_count(),
        "usable_cores": usable_threads(),
        "instruction_sets": sorted(INSTRUCTION_SETS & set(_flags(fields))),
        "governor": None,
        "frequency_mhz": None,
    }
    try:
        cpu["governor"] = (sysfs / "devices/system/cpu/cpu0/cpufreq/scaling_governor").read_text().strip()
    except OSError:
        unread["cpu.governor"] = "the kernel has no cpufreq here, as in most virtual machines"
    try:
        cpu["frequency_mhz"] = _frequency_mhz(sysfs, fields)
    except (OSError, ValueError):
        unread["cpu.frequency_mhz"] = "neither cpufreq nor /proc/cpuinfo reports the frequency"
    if not cpu["instruction_sets"]:
        unread["cpu.instruction_sets"] = "/proc/cpuinfo lists no instruction set that edgevid uses"
    return cpu, unread


def board(sysfs: Path = SYSFS) -> str | None:
    """The board's name in its device tree, for a Jetson or a Raspberry Pi for example; else None."""
    try:
        return (sysfs / "firmware/devicetree/base/model").read_bytes().rstrip(b"\0").decode(errors="replace")
    except OSError:
        return None


def clock_mhz(sysfs: Path = SYSFS, cpuinfo: Path = CPUINFO) -> float | None:
    """The current clock of the processors that this process may run on, on average; None if unknown."""
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else {0}
    files = [sysfs / f"devices/system/cpu/cpu{number}/cpufreq/scaling_cur_freq" for number in allowed]
    try:
        return sum(int(file.read_text()) for file in files) / len(files) / 1000
    except (OSError, ValueError):
        text = _cpuinfo(cpuinfo).get("cpu MHz")
        return float(text) if text else None


def _cpuinfo(path: Path) -> dict[str, str]:
    """The first processor's fields of /proc/cpuinfo; empty on other systems."""
    try:
        text = path.read_text(errors="replace")
    except OSError:
        return {}
    pairs = (line.partition(":") for line in text.split("\n\n")[0].splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


def _model(fields: dict[str, str]) -> str:
    if "model name" in fields:
        return fields["model name"]
    if "CPU part" in fields:  # arm64 kernels print numbers only: Arm's MIDR_EL1
        return f"Arm implementer {fields.get('CPU implementer', '?')} part {fields['CPU part']}"
    return platform.processor() or platform.machine()


def _flags(fields: dict[str, str]) -> list[str]:
    return (fields.get("flags") or fields.get("Features") or "").split()


def _frequency_mhz(sysfs: Path, fields: dict[str, str]) -> float:
    """The current frequency of core 0; raises where it cannot be read."""
    try:
        kilohertz = (sysfs / "devices/system/cpu/cpu0/cpufreq/scaling_cur_freq").read_text()
    except OSError:
        return float(fields.get("cpu MHz", ""))
    return int(kilohertz) / 1000
