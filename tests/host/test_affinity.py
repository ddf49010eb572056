"""Which cores a process is pinned to, on simulated processors, and on this one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from edgevid.host.affinity import pin, placement, spare


def write_cpus(folder: Path, *cpus: tuple[str, int]) -> Path:
    """Simulated processors: the list of threads on the core of each, and its highest clock in kHz."""
    for number, (siblings, khz) in enumerate(cpus):
        (folder / f"cpu{number}/topology").mkdir(parents=True)
        (folder / f"cpu{number}/cpufreq").mkdir()
        (folder / f"cpu{number}/topology/thread_siblings_list").write_text(siblings + "\n")
        (folder / f"cpu{number}/cpufreq/cpuinfo_max_freq").write_text(f"{khz}\n")
    return folder


def test_each_core_is_used_once_before_any_is_used_twice(tmp_path):
    cpus = write_cpus(tmp_path, *[("0,2", 10), ("1,3", 10), ("0,2", 10), ("1,3", 10)])
    assert placement([0, 1, 2, 3], cpus) == [1, 2, 3, 0]


def test_the_fast_cores_of_a_phone_come_first(tmp_path):
    cpus = write_cpus(tmp_path, ("0", 18), ("1", 18), ("2", 24), ("3", 28))
    assert placement([0, 1, 2, 3], cpus) == [3, 2, 1, 0]


def test_processors_without_a_description_are_taken_in_order_and_the_first_one_last(tmp_path):
    assert placement([0, 1, 2], tmp_path) == [1, 2, 0]


def test_what_must_not_disturb_gets_a_core_apart_before_the_other_thread_of_a_core_in_use(tmp_path):
    cpus = write_cpus(tmp_path, ("0,3", 24), ("1,4", 24), ("2,5", 18), ("0,3", 24), ("1,4", 24), ("2,5", 18))
    assert spare([1], 6, cpus) == [5, 0, 2, 3, 4]
    assert spare(range(6), 6, cpus) == []


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system cannot pin a process")
def test_a_process_is_pinned_to_as_many_processors_as_it_has_threads():
    code = (
        "import os; from edgevid.host.affinity import pin; print(pin(1) == sorted(os.sched_getaffinity(0)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "True\n"


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system cannot pin a process")
def test_more_threads_than_processors_are_not_pinned():
    before = os.sched_getaffinity(0)
    assert pin(len(before) + 1) is None and os.sched_getaffinity(0) == before
