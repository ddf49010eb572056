"""The power monitors of Jetsons, on simulated boards: rails by label, and nothing counted twice."""

from __future__ import annotations

import pytest
import simulated_boards as boards

from edgevid.host.power.files import LocalFiles
from edgevid.host.power.sensor import NoSensorError, SensorError
from edgevid.host.probes import ina3221
from edgevid.targets import TARGETS


@pytest.mark.parametrize("board", [name for name, (_, _, watts) in boards.BOARDS.items() if watts])
def test_each_board_has_its_total(board, tmp_path, read_once):
    files, scope, watts = boards.BOARDS[board]
    sensor, values = read_once(ina3221.PROBE, boards.write(tmp_path, files()))
    assert sum(values[label] for label in sensor.total) == pytest.approx(watts, abs=1e-9)
    assert (sensor.scope, sensor.simulated) == (scope, True)
    assert "(simulated)" in sensor.describe()


def test_a_board_without_a_monitor_says_so(tmp_path):
    root = boards.write(tmp_path, boards.nano_2gb())
    with pytest.raises(NoSensorError, match="no power monitor of a Jetson"):
        ina3221.find(LocalFiles(root))


def test_memory_of_agx_orin_is_shown_and_not_counted_twice(tmp_path, read_once):
    sensor, values = read_once(ina3221.PROBE, boards.write(tmp_path, boards.agx_orin()))
    assert values["VDDQ_VDD2_1V8AO"] == pytest.approx(1.09296)
    assert sensor.total == ("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0")
    assert "NC" not in values and not any("sum" in label for label in values)


def test_an_unknown_board_has_its_rails_and_no_total(tmp_path, read_once):
    files = boards.agx_orin() | boards.device_tree("acme,board")
    sensor, values = read_once(ina3221.PROBE, boards.write(tmp_path, files))
    assert sensor.total == () and len(values) == 4
    assert "power.rails" in sensor.why_no_total


def test_a_targets_file_can_name_the_total_of_an_unknown_board(tmp_path, read_once):
    files = boards.agx_orin() | boards.device_tree("acme,board")
    rails = ("VDD_CPU_CV", "VIN_SYS_5V0")
    sensor, _ = read_once(ina3221.PROBE, boards.write(tmp_path, files), rails)
    assert (sensor.total, sensor.scope) == (rails, "rails of the target's file")


NAMED = {
    "jetson-nano": "Nano, JetPack 4",
    "jetson-xavier-nx": "Xavier NX, JetPack 5",
    "jetson-orin-nano": "Orin Nano",
    "jetson-agx-orin": "AGX Orin",
    "jetson-thor": "Thor, JetPack 7",
}


@pytest.mark.parametrize("target", NAMED)
def test_the_targets_files_name_the_same_rails(target, tmp_path, read_once):
    sensor, _ = read_once(ina3221.PROBE, boards.write(tmp_path, boards.BOARDS[NAMED[target]][0]()))
    assert set(sensor.total) == set(TARGETS[target].power.rails)


def test_a_disabled_channel_is_no_rail(tmp_path, read_once):
    files = boards.xavier_nx(5) | {f"{boards.I2C}/7-0040/hwmon/hwmon6/in3_enable": "0"}
    _, values = read_once(ina3221.PROBE, boards.write(tmp_path, files))
    assert set(values) == {"VDD_IN", "VDD_CPU_GPU_CV"}


def test_one_label_on_two_chips_makes_two_rails(tmp_path, read_once):
    files = boards.hwmon("1-0040", 0, boards.INPUT) | boards.hwmon("1-0041", 1, boards.INPUT)
    _, values = read_once(ina3221.PROBE, boards.write(tmp_path, files))
    assert {"VDD_IN (1-0040)", "VDD_IN (1-0041)"} <= set(values)


def test_the_resolution_follows_from_the_shunt(tmp_path, read_once):
    sensor, _ = read_once(ina3221.PROBE, boards.write(tmp_path, boards.orin_small("p3767-0005")))
    (rail,) = sensor.total_rails()
    assert rail.resolution == pytest.approx(((4.96 * 0.008) ** 2 + (0.78 * 0.008) ** 2) ** 0.5)


def test_a_file_without_a_number_is_an_error_and_not_zero(tmp_path):
    files = boards.nano() | {f"{boards.I2C}/6-0040/iio:device0/in_power0_input": "\n"}
    with pytest.raises(SensorError, match="does not contain a number"):
        ina3221.find(LocalFiles(boards.write(tmp_path, files)))


class RootOnly(LocalFiles):
    def read(self, path):
        if path.endswith("_input"):
            raise PermissionError(13, "Permission denied", path)
        return super().read(path)


def test_files_that_only_root_may_read_are_an_error_with_the_remedy(tmp_path):
    with pytest.raises(SensorError, match="only root can read in1_input") as error:
        ina3221.find(RootOnly(boards.write(tmp_path, boards.xavier_nx(5))))
    assert "udev" in error.value.remedy
