"""Resident memory of this process, in MiB.

On Linux the peak is ``VmHWM`` of ``/proc/self/status`` and not ``ru_maxrss``: a process that was started
by vfork and exec inherits the ``ru_maxrss`` of its parent (getrusage(2)), so a small worker of a large
parent would report the parent's peak.
"""

from __future__ import annotations

from pathlib import Path

import psutil

MIB = 1024 * 1024
STATUS, ROLLUP = Path("/proc/self/status"), Path("/proc/self/smaps_rollup")


def resident_mib() -> float:
    """The current resident memory."""
    return psutil.Process().memory_info().rss / MIB


def peak_mib(status: Path = STATUS) -> float | None:
    """The peak resident memory; None where the system does not report it."""
    try:
        lines = status.read_text().splitlines()
    except OSError:
        return _peak_from_psutil()
    for line in lines:
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024  # the kernel prints kB and means KiB
    return None


def proportional_mib(rollup: Path = ROLLUP) -> float | None:
    """The current proportional set: a page that n processes share counts as 1/n; None where unknown."""
    try:
        lines = rollup.read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return None


def _peak_from_psutil() -> float | None:
    """Windows keeps the peak as ``peak_wset``; other systems offer none that psutil reads."""
    peak_bytes = getattr(psutil.Process().memory_info(), "peak_wset", None)
    return None if peak_bytes is None else peak_bytes / MIB
