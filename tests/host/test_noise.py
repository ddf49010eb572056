"""What others did during a measurement, from a simulated /proc."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from edgevid.host import noise
from edgevid.host.noise import Counters, NoiseMonitor, noise_between, noise_warnings, read_counters

BEFORE = Counters(wall_s=100, busy_s=50, stolen_s=1, own_s=20, swapped_pages=7, clock_mhz=2000)
QUIET = replace(BEFORE, wall_s=110, busy_s=70, own_s=40)
"""Ten seconds in which two cores were busy, all of it for this process."""


def test_a_process_alone_is_no_noise():
    result = noise_between(BEFORE, QUIET)
    assert result == {
        "own_cores": 2, "others_cores": 0, "others_here_cores": 0, "stolen_cores": 0, "swapped_mib": 0,
        "clock_mhz": [2000, 2000],
    }  # fmt: skip
    assert noise_warnings(result) == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"busy_s": 75}, "other programs used 0.50 cores"),
        ({"stolen_s": 3}, "the hypervisor took 0.20 cores"),
        ({"swapped_pages": 7 + (8 << 20) // os.sysconf("SC_PAGE_SIZE")}, "swapped 8.0 MiB"),
        ({"clock_mhz": 1500}, "from 2000 to 1500 MHz"),
    ],
)
def test_each_disturbance_is_said_with_how_much_of_it_there_was(change, says):
    (warning,) = noise_warnings(noise_between(BEFORE, replace(QUIET, **change)))
    assert says in warning


def test_the_counters_are_those_of_proc(tmp_path: Path):
    second = os.sysconf("SC_CLK_TCK")
    ticks = [value * second for value in (10, 1, 4, 500, 9, 0.5, 0.5, 2, 3, 0)]
    total = " ".join(str(int(tick)) for tick in ticks)
    cores = "cpu0 1 2 3 4 5 6 7 8\ncpu1 100 0 0 9 9 0 0 1"
    (tmp_path / "stat").write_text(f"cpu  {total}\n{cores}\nintr 1\n")
    (tmp_path / "vmstat").write_text("pgfault 5\npswpin 30\npswpout 12\n")
    counters = read_counters(tmp_path)
    assert (counters.busy_s, counters.stolen_s, counters.swapped_pages) == (16, 2, 42)
    assert counters.busy_here_s is None and read_counters(tmp_path, [1]).busy_here_s == 100 / second


def test_a_program_on_another_core_is_noise_but_not_here():
    pinned = replace(BEFORE, busy_here_s=30), replace(QUIET, own_s=30, busy_here_s=40)
    result = noise_between(*pinned)
    assert result["others_cores"] == 1 and result["others_here_cores"] == 0


def test_a_system_without_proc_has_no_noise_to_report(tmp_path):
    with NoiseMonitor(tmp_path) as monitor:
        pass
    assert monitor.fields() is None and noise_warnings(None) == []


def test_the_work_of_this_process_does_not_count_as_that_of_others(monkeypatch):
    if read_counters() is None:
        pytest.skip("no /proc/stat")
    busy = iter([10.0, 10.4])
    monkeypatch.setattr(noise, "read_counters", lambda *_: replace(read_counters(), busy_s=next(busy)))
    with NoiseMonitor() as monitor:
        end = time.process_time() + 0.4
        while time.process_time() < end:
            pass
    assert monitor.fields()["others_cores"] < 0.1
