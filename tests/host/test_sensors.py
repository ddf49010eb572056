"""Sensors and CPU facts, read from simulated trees that look like the kernel's."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgevid.host import memory, power, processor
from edgevid.host.environment import environment_warnings, observe
from edgevid.host.probes import ina3221, rapl
from edgevid.host.thermal import temperatures_c


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root


def sensor(root: Path, name: str) -> power.PowerSensor:
    return next(state for state in sensors(root) if state.name == name)


def sensors(root: Path) -> list[power.PowerSensor]:
    """Those that are read below a folder."""
    return [state for probe in probes(root) for state in probe.sensors()]


def probes(root: Path) -> list[power.SensorProbe]:
    """RAPL and INA3221, which are files."""
    ours = (rapl.PROBE, ina3221.PROBE)
    return [power.SensorProbe(probe.name, probe.title, *probe.drivers, sysfs=root) for probe in ours]


def test_an_empty_tree_has_no_sensor_and_each_says_why(tmp_path):
    for kind in sensors(tmp_path):
        assert not kind.ok and kind.error and kind.readings == {}
    for probe in probes(tmp_path):
        here = probe.available()
        assert not here.ok and here.remedy
    assert "INA3221 (hwmon)" in here.why and "INA3221 (iio)" in here.why


def test_rapl_counters_are_read_per_zone(tmp_path):
    write(
        tmp_path,
        {
            "class/powercap/intel-rapl:0/name": "package-0\n",
            "class/powercap/intel-rapl:0/energy_uj": "123456\n",
            "class/powercap/intel-rapl:0:0/name": "core\n",
            "class/powercap/intel-rapl:0:0/energy_uj": "23456\n",
        },
    )
    state = sensor(tmp_path, "RAPL")
    assert state.readings == {"package-0 (intel-rapl:0)": 123456.0, "core (intel-rapl:0:0)": 23456.0}
    assert state.unit == "uJ" and state.simulated and "(simulated)" in state.describe()


def test_a_counter_that_only_root_may_read_says_so(tmp_path, monkeypatch):
    write(
        tmp_path,
        {"class/powercap/intel-rapl:0/name": "package-0", "class/powercap/intel-rapl:0/energy_uj": "1"},
    )
    monkeypatch.setattr(rapl, "read_text", forbid("energy_uj"))
    assert sensor(tmp_path, "RAPL").error == "only root can read energy_uj"
    counters, _ = probes(tmp_path)
    assert counters.available().remedy.startswith("run as root")


def forbid(name: str):
    def read(file: Path) -> str:
        if file.name == name:
            raise PermissionError(13, "Permission denied", str(file))
        return file.read_text().strip()

    return read


def test_ina3221_hwmon_rails_are_matched_by_label_and_multiplied_to_milliwatts(tmp_path):
    chip = "bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon3"
    write(
        tmp_path,
        {
            f"{chip}/in1_label": "VDD_IN",
            f"{chip}/in1_input": "5000",
            f"{chip}/curr1_input": "1500",
            f"{chip}/in2_label": "VDD_CPU_GPU_CV",
            f"{chip}/in2_input": "4000",
            f"{chip}/curr2_input": "250",
        },
    )
    assert sensor(tmp_path, "INA3221 (hwmon)").readings == {"VDD_IN": 7500.0, "VDD_CPU_GPU_CV": 1000.0}


def test_the_older_iio_driver_is_read_too(tmp_path):
    chip = "bus/i2c/drivers/ina3221x/6-0040/iio:device0"
    write(tmp_path, {f"{chip}/rail_name_0": "POM_5V_IN", f"{chip}/in_power0_input": "3210"})
    assert sensor(tmp_path, "INA3221 (iio)").readings == {"POM_5V_IN": 3210.0}


def test_a_file_without_a_number_makes_the_sensor_unusable_and_not_zero(tmp_path):
    chip = "bus/i2c/drivers/ina3221x/6-0040/iio:device0"
    write(tmp_path, {f"{chip}/rail_name_0": "POM_5V_IN", f"{chip}/in_power0_input": "\n"})
    state = sensor(tmp_path, "INA3221 (iio)")
    assert not state.ok and state.readings == {} and "not contain a number" in state.error


def test_a_sensor_that_exists_is_said_to_be_unread_and_not_missing(tmp_path):
    chip = "bus/i2c/drivers/ina3221x/6-0040/iio:device0"
    write(tmp_path, {f"{chip}/rail_name_0": "POM_5V_IN", f"{chip}/in_power0_input": "3210"})
    _, monitor = probes(tmp_path)
    assert monitor.available().ok and "POM_5V_IN" in monitor.available().what
    with monitor:
        pass
    assert monitor.fields()["power_w"] is None
    assert "not yet read" in monitor.fields()["why_no_power"]


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
