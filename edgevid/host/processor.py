"""What this machine's processor offers to whoever computes on it."""

from __future__ import annotations

import os
import platform
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")


ARCHITECTURES = {"amd64": "x86_64", "arm64": "aarch64"}
"""Other names that operating systems give to a processor than the files of targets."""


def architecture(machine: str | None = None) -> str:
    """The processor of this machine, or of one that calls it ``machine``: ``x86_64``, ``aarch64``."""
    name = (machine or platform.machine()).lower()
    return ARCHITECTURES.get(name, name)


def usable_threads() -> int:
    """The threads of cores that this process may use: all that the system schedules on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def usable_cores() -> int:
    """The cores that this process may use, threads of one core counted once."""
    import psutil

    allowed = usable_threads()
    return max(1, min(allowed, psutil.cpu_count(logical=False) or allowed))


def processor_flags(cpuinfo: Path = CPUINFO) -> frozenset[str]:
    """What an x86-64 processor can do, as Linux names it; nothing where that cannot be read."""
    try:
        lines = cpuinfo.read_text(errors="replace").splitlines()
    except OSError:
        return frozenset()
    flags = next((line.partition(":")[2] for line in lines if line.startswith("flags")), "")
    return frozenset(flags.split())
