"""What others did during a measurement: processor time, steal, swapping, and the clock."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgevid.host.processor import clock_mhz

PROC = Path("/proc")
STOLEN = 7
"""The place of the stolen time in a line of /proc/stat."""
OTHERS_LIMIT = 0.05
"""Cores that others may use on average before a measurement counts as disturbed; also of time stolen."""
CLOCK_LIMIT = 0.05
"""A relative change of the processor's clock from the beginning to the end."""


@dataclass(frozen=True)
class Counters:
    """Seconds since boot of all processors together, of this process and its children, and pages swapped.

    ``busy_here_s`` is of the processors that this process is pinned to, None where it is not.
    """

    wall_s: float
    busy_s: float
    stolen_s: float
    own_s: float
    swapped_pages: int
    clock_mhz: float | None
    busy_here_s: float | None = None


class NoiseMonitor:
    """As a context around a measurement, it counts what this process, pinned to ``cores``, did not cause."""

    def __init__(self, proc: Path = PROC, cores: Collection[int] | None = None) -> None:
        self._proc, self._cores = proc, cores
        self._before: Counters | None = None
        self._after: Counters | None = None

    def __enter__(self) -> NoiseMonitor:
        self._before = read_counters(self._proc, self._cores)
        return self

    def __exit__(self, *error: object) -> None:
        self._after = read_counters(self._proc, self._cores)

    def fields(self) -> dict[str, Any] | None:
        """``others_cores``, ``stolen_cores``: processors used by others or a hypervisor, on average.

        ``own_cores`` is what this process used, ``others_here_cores`` what others used of the processors
        that it is pinned to (of all, where it is not). ``swapped_mib`` is what the whole machine swapped in
        and out, ``clock_mhz`` the clock of the processor before and after. None where the system has no
        /proc/stat.
        """
        if self._before is None or self._after is None:
            return None
        return noise_between(self._before, self._after)


def noise_between(before: Counters, after: Counters) -> dict[str, Any]:
    wall_s = max(after.wall_s - before.wall_s, 1e-3)
    own_s = after.own_s - before.own_s
    others_s = others_here_s = (after.busy_s - before.busy_s) - own_s
    if before.busy_here_s is not None and after.busy_here_s is not None:
        others_here_s = (after.busy_here_s - before.busy_here_s) - own_s
    pages = after.swapped_pages - before.swapped_pages
    return {
        "own_cores": own_s / wall_s,
        "others_cores": max(0.0, others_s / wall_s),
        "others_here_cores": max(0.0, others_here_s / wall_s),
        "stolen_cores": max(0.0, (after.stolen_s - before.stolen_s) / wall_s),
        "swapped_mib": pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20),
        "clock_mhz": None if before.clock_mhz is None else [before.clock_mhz, after.clock_mhz],
    }


def noise_warnings(noise: dict[str, Any] | None) -> list[str]:
    """One sentence for each kind of disturbance, with how much of it there was."""
    if noise is None:
        return []
    warnings = []
    if noise["others_cores"] > OTHERS_LIMIT:
        warnings.append(
            f"other programs used {noise['others_cores']:.2f} cores during the measurement: stop them, and "
            "measure again"
        )
    if noise["stolen_cores"] > OTHERS_LIMIT:
        warnings.append(
            f"the hypervisor took {noise['stolen_cores']:.2f} cores away during the measurement: measure on "
            "a machine of your own"
        )
    if noise["swapped_mib"] > 0:
        warnings.append(
            f"the machine swapped {noise['swapped_mib']:.1f} MiB during the measurement: close other programs"
        )
    if noise["clock_mhz"] and None not in noise["clock_mhz"]:
        first, last = noise["clock_mhz"]
        if abs(last / first - 1) > CLOCK_LIMIT:
            warnings.append(
                f"the processor's clock went from {first:.0f} to {last:.0f} MHz during the measurement: fix "
                "it, for example with 'cpupower frequency-set -g performance'"
            )
    return warnings


def read_counters(proc: Path = PROC, cores: Collection[int] | None = None) -> Counters | None:
    """Read the counters now, and the time of ``cores`` apart; None where the system has no /proc/stat.

    Source: proc(5). Guest time is inside user time; waiting for a disk is idle time.
    """
    second = os.sysconf("SC_CLK_TCK")
    try:
        lines = [line.split() for line in (proc / "stat").read_text().splitlines() if line.startswith("cpu")]
        ticks = {name: [int(field) for field in fields] for name, *fields in lines}
        total = ticks["cpu"]
        here = [_busy_ticks(ticks[f"cpu{number}"]) for number in cores or ()]
        times = os.times()
        return Counters(
            time.monotonic(),
            _busy_ticks(total) / second,
            total[STOLEN] / second,
            time.process_time() + times.children_user + times.children_system,
            _swapped_pages(proc),
            clock_mhz(),
            sum(here) / second if here else None,
        )
    except (OSError, ValueError, LookupError):
        return None


def _busy_ticks(ticks: Sequence[int]) -> int:
    user, nice, system, _idle, _iowait, irq, softirq = ticks[:STOLEN]
    return user + nice + system + irq + softirq


def _swapped_pages(proc: Path) -> int:
    try:
        lines = (proc / "vmstat").read_text().splitlines()
    except OSError:
        return 0
    pairs = (line.split() for line in lines)
    return sum(int(value) for key, value in pairs if key in ("pswpin", "pswpout"))
