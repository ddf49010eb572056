"""Pin this process to cores, so that the scheduler does not move its threads during a measurement."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

CPUS = Path("/sys/devices/system/cpu")


def pin(threads: int, cpus: Path = CPUS) -> list[int] | None:
    """Pin this process to ``threads`` logical processors, each on a core of its own where possible.

    The fastest cores come first (big.LITTLE), and processor 0, which serves interrupts, last. Returns the
    processors; None where the system cannot pin, or has fewer than ``threads`` of them for this process.
    """
    if not hasattr(os, "sched_setaffinity"):
        return None
    order = placement(sorted(os.sched_getaffinity(0)), cpus)
    if threads > len(order):
        return None
    chosen = sorted(order[:threads])
    try:
        os.sched_setaffinity(0, chosen)
    except OSError:
        return None
    return chosen


def allowed() -> list[int]:
    """The logical processors of this process; empty where the system cannot pin."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


@contextlib.contextmanager
def pinned_to(processors: Sequence[int]) -> Iterator[None]:
    """Pin this thread, and those that it starts, to ``processors`` (none: as it is) until the block ends."""
    before = allowed()
    if processors and before:
        os.sched_setaffinity(0, processors)
    try:
        yield
    finally:
        if processors and before:
            os.sched_setaffinity(0, before)


def placement(processors: Sequence[int], cpus: Path = CPUS) -> list[int]:
    """``processors`` in the order of their use: one of each core first."""
    by_speed = sorted(processors, key=lambda number: (-_max_khz(cpus, number), number == 0, number))
    firsts: list[int] = []
    seconds: list[int] = []
    cores = set()
    for number in by_speed:
        siblings = _read(cpus, number, "topology/thread_siblings_list") or str(number)
        (seconds if siblings in cores else firsts).append(number)
        cores.add(siblings)
    return firsts + seconds


def spare(own: Iterable[int], online: int, cpus: Path = CPUS) -> list[int]:
    """The first ``online`` processors without ``own``: those of cores apart first, and the slowest first."""
    taken = set(own)
    cores = {_read(cpus, number, "topology/thread_siblings_list") for number in taken} - {None}
    others = placement([number for number in range(online) if number not in taken], cpus)[::-1]
    return sorted(others, key=lambda number: _read(cpus, number, "topology/thread_siblings_list") in cores)


def _max_khz(cpus: Path, number: int) -> int:
    text = _read(cpus, number, "cpufreq/cpuinfo_max_freq")
    return int(text) if text and text.isdigit() else 0


def _read(cpus: Path, number: int, name: str) -> str | None:
    try:
        return (cpus / f"cpu{number}" / name).read_text().strip()
    except OSError:
        return None
