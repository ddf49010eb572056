"""A phone's battery, simulated: signs and units differ between makers."""

from __future__ import annotations

import pytest
import simulated_boards as boards

from edgevid.host.power.files import LocalFiles
from edgevid.host.power.sensor import NoSensorError, SensorError
from edgevid.host.probes import android_battery


@pytest.mark.parametrize(
    ("current", "voltage"),
    [(-352_187, 4_012_000), (352_187, 4_012_000), (-352, 4_012), (352, 4_012_000)],
    ids=["negative uA", "positive uA", "mA and mV", "mA and uV"],
)
def test_units_are_told_by_magnitude_and_the_sign_does_not_matter(current, voltage, tmp_path, read_once):
    root = boards.write(tmp_path, boards.battery(current, voltage))
    sensor, values = read_once(android_battery.PROBE, root)
    assert values == {"battery": pytest.approx(1.413, abs=0.002)}
    assert sensor.shortest_window_s == 60


def test_a_current_that_is_always_0_is_not_supported(tmp_path, read_once):
    with pytest.raises(SensorError, match="does not support current_now"):
        read_once(android_battery.PROBE, boards.write(tmp_path, boards.battery(0, 4_012_000)))


@pytest.mark.parametrize("status", ["Charging", "Full", "Not charging", "Unknown"])
def test_a_phone_that_is_plugged_in_is_refused(status, tmp_path):
    root = boards.write(tmp_path, boards.battery(-352_187, 4_012_000, status))
    with pytest.raises(SensorError, match=status) as error:
        android_battery.find(LocalFiles(root))
    assert "adb over Wi-Fi" in error.value.remedy


def test_one_plugged_in_meanwhile_is_not_read(tmp_path, read_once):
    root = boards.write(tmp_path, boards.battery(-352_187, 4_012_000))
    probe = android_battery.PROBE

    class PluggedIn:
        def find(self, files, rails):
            sensor = probe.find(files, rails)
            boards.write(tmp_path, boards.battery(900_000, 4_012_000, "Charging"))
            return sensor

    with pytest.raises(ValueError, match="Charging"):
        read_once(PluggedIn(), root)


def test_a_device_without_a_gauge_has_no_sensor(tmp_path):
    with pytest.raises(NoSensorError, match="no gauge"):
        android_battery.find(LocalFiles(tmp_path))
