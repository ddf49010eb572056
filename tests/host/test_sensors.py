"""Temperatures and CPU facts, read from simulated trees that look like the kernel's."""

from __future__ import annotations

import pytest
from simulated_boards import write

from edgevid.host import memory, processor
from edgevid.host.environment import environment_warnings, observe
from edgevid.host.thermal import temperatures_c


def test_temperatures_are_degrees_and_zones_of_one_name_stay_apart(tmp_path):
    write(
        tmp_path,
        {
            "class/thermal/thermal_zone0/type": "cpu-thermal",
            "class/thermal/thermal_zone0/temp": "45500",
            "class/thermal/thermal_zone1/type": "cpu-thermal",
            "class/thermal/thermal_zone1/temp": "46000",
            "class/thermal/thermal_zone2/type": "off",
            "class/thermal/thermal_zone2/temp": "",
            "class/hwmon/hwmon0/name": "k10temp",
            "class/hwmon/hwmon0/temp1_input": "50125",
        },
    )
    assert temperatures_c(tmp_path) == {
        "cpu-thermal": 45.5, "cpu-thermal (thermal_zone1)": 46.0, "k10temp": 50.125,
    }  # fmt: skip


ARM = """processor\t: 0
Features\t: fp asimd asimdhp asimddp i8mm
CPU implementer\t: 0x41
CPU part\t: 0xd42

processor\t: 1
"""


def test_an_arm_board_is_described_by_its_part_number_and_features(tmp_path):
    proc = write(tmp_path / "proc", {"cpuinfo": ARM})
    sysfs = write(
        tmp_path / "sys",
        {
            "devices/system/cpu/cpu0/cpufreq/scaling_governor": "powersave\n",
            "devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "1510400\n",
            "firmware/devicetree/base/model": "NVIDIA Jetson Orin Nano\0",
        },
    )
    state, unread = processor.describe_cpu(sysfs, proc)
    assert state["model"] == "Arm implementer 0x41 part 0xd42"
    assert state["instruction_sets"] == ["asimd", "asimddp", "asimdhp", "i8mm"]
    assert (state["governor"], state["frequency_mhz"], unread) == ("powersave", 1510.4, {})
    environment = observe(sysfs, proc)
    assert environment["device"].startswith("NVIDIA Jetson Orin Nano; Arm implementer")
    assert any("powersave" in warning for warning in environment_warnings(environment))


def test_what_cannot_be_read_is_null_with_a_reason(tmp_path):
    environment = observe(tmp_path, tmp_path)
    assert environment["cpu"]["governor"] is None and environment["cpu"]["frequency_mhz"] is None
    assert environment["temperature_c"] is None
    assert {"cpu.governor", "cpu.frequency_mhz", "temperature_c"} <= set(environment["not_read"])


def test_a_busy_device_is_warned_of(tmp_path):
    environment = {**observe(tmp_path, tmp_path), "busy_percent": 40.0}
    assert "40% busy" in environment_warnings(environment)[0]


def test_thread_variables_are_recorded(monkeypatch, tmp_path):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert observe(tmp_path, tmp_path)["thread_variables"]["OMP_NUM_THREADS"] == "3"


def test_the_peak_is_the_high_water_mark_of_the_kernel(tmp_path):
    status = tmp_path / "status"
    status.write_text("VmPeak:\t9999 kB\nVmHWM:\t  2048 kB\nVmRSS:\t1024 kB\n")
    assert memory.peak_mib(status) == 2.0


@pytest.mark.skipif(not memory.STATUS.exists(), reason="only Linux has /proc/self/status")
def test_the_peak_of_this_process_is_at_least_what_is_resident():
    assert memory.peak_mib() >= memory.resident_mib() > 1
